import Corpus
package import Foundation
import Glibc
import Synchronization

/// Writes `log.txt`: what happened when (`2026-11-24T05:00:00Z text`), for reading after the run, and reads it back. Goes
/// on after a resume.
///
/// A log that cannot be written stops no training: the first failure is told through a closure, and the run goes on.
package final class RunLog: Sendable {
    private let url: URL
    private let descriptor: Int32
    private let hasFailed = Mutex(false)
    private let onFailure: @Sendable (String) -> Void

    package init(url: URL, onFailure: @escaping @Sendable (String) -> Void) {
        self.url = url
        self.onFailure = onFailure
        descriptor = open(url.path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0o666)
        if descriptor < 0 { report(errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// From any thread. A text of several lines becomes several lines of the same time, those after the first with a tab in
    /// the place of the blank. Control characters become visible: the file is read on terminals.
    package func write(_ text: String) { write(text, at: time(nil)) }

    func write(_ text: String, at time: time_t) {
        guard descriptor >= 0 else { return }
        let stamp = Self.stamp(time)
        let lines = text.withVisibleControls.split(omittingEmptySubsequences: false) { $0.isNewline }.joined(
            separator: "\n\(stamp)\t")
        var bytes = Array("\(stamp) \(lines)\n".utf8)
        // The file is in append mode, so lines of several threads do not run into each other.
        let count = Glibc.write(descriptor, &bytes, bytes.count)
        if count < 0 {
            report(errno)
        } else if count < bytes.count {
            report(ENOSPC)
        }
    }

    private func report(_ code: Int32) {
        let isFirst = hasFailed.withLock { hasFailed in
            defer { hasFailed = true }
            return !hasFailed
        }
        if isFirst { onFailure("\(url.path): cannot write the log: \(String(cString: strerror(code)))") }
    }

    /// The entries in the last 64 KiB of a log, in order; lines that are not ours are passed over. None where it cannot be
    /// read.
    ///
    /// - Returns: times in seconds since 1970.
    static func entries(at url: URL) -> [(time: Double, text: String)] {
        let kept = 1 << 16
        guard let source = try? TextSource(path: url.path) else { return [] }
        let end = source.withBytes { String(decoding: $0.suffix(kept), as: UTF8.self) }
        let format = Date.ISO8601FormatStyle()
        var entries: [(time: Double, text: String)] = []
        for line in end.split(separator: "\n").dropFirst(source.byteCount > kept ? 1 : 0) {
            let text = line.dropFirst(stampLength + 1)
            guard let date = try? format.parse(String(line.prefix(stampLength))),
                let mark = line.dropFirst(stampLength).first
            else { continue }
            if mark != "\t" {
                entries.append((date.timeIntervalSince1970, String(text)))
            } else if let last = entries.indices.last {
                entries[last].text += "\n" + text
            }
        }
        return entries
    }

    private static let stampLength = 20

    /// ISO 8601, in UTC, whole seconds.
    private static func stamp(_ time: time_t) -> String {
        var seconds = time
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}
