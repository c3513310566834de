import Corpus
package import Foundation
import Glibc
import Synchronization

/// Writes `log.txt`: what happened when (`2026-11-24T05:00:00Z text`), for reading after the run, and reads it back.
/// Goes on after a resume.
///
/// A log that cannot be written stops no training: the first failure is told through a closure, and the run goes on.
/// Nor does one whose disk stands still: lines are written from a queue of its own, in order. So ``finish(seconds:)``
/// has to be called before the process ends.
package final class RunLog: Sendable {
    private struct State {
        /// Texts that wait for the disk.
        var waiting = 0
        /// Since the last that was let in.
        var leftOut = 0
        var hasFailed = false
    }

    /// Texts that may wait, some MB at most; what comes on top of them is left out, and counted.
    static let maximumWaiting = 10_000

    private let url: URL
    private let descriptor: Int32
    private let queue = DispatchQueue(label: "log")
    private let state = Mutex(State())
    private let onFailure: @Sendable (String) -> Void

    /// - Parameter onFailure: told once, in words, where the file cannot be written.
    package init(url: URL, onFailure: @escaping @Sendable (String) -> Void) {
        self.url = url
        self.onFailure = onFailure
        descriptor = OutputFile.open(url.path, O_APPEND)
        if descriptor < 0 { report(errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// From any thread, and waits for nothing. A text of several lines becomes several lines of the same time, those
    /// after the first with a tab in the place of the blank. Control characters become visible: the file is read on
    /// terminals.
    package func write(_ text: String) { write(text, at: time(nil)) }

    func write(_ text: String, at time: time_t) {
        guard descriptor >= 0 else { return }
        let leftOut: Int? = state.withLock { state in
            guard state.waiting < Self.maximumWaiting else {
                state.leftOut += 1
                return nil
            }
            state.waiting += 1
            defer { state.leftOut = 0 }
            return state.leftOut
        }
        guard let leftOut else { return }
        queue.async { [self] in
            if leftOut > 0 { append("the disk stood still: \(leftOut) texts are left out here", at: time) }
            append(text, at: time)
            state.withLock { $0.waiting -= 1 }
        }
    }

    /// Waits until all is written, but not for ever: where the disk stands still that is told instead.
    package func finish(seconds: Double = 10) {
        guard descriptor >= 0 else { return }
        if !queue.finish(within: seconds) {
            onFailure("\(url.path): the disk has not taken the last lines of the log in \(seconds) s: they are lost")
        }
    }

    private func append(_ text: String, at time: time_t) {
        let stamp = Self.stamp(time)
        let lines = text.withVisibleControls.split(omittingEmptySubsequences: false) { $0.isNewline }.joined(
            separator: "\n\(stamp)\t")
        var bytes = Array("\(stamp) \(lines)\n".utf8)
        // The file is in append mode: a process that was killed may still have a write under way.
        let count = Glibc.write(descriptor, &bytes, bytes.count)
        if count < 0 {
            report(errno)
        } else if count < bytes.count {
            report(ENOSPC)
        }
    }

    private func report(_ code: Int32) {
        let isFirst = state.withLock { state in
            defer { state.hasFailed = true }
            return !state.hasFailed
        }
        if isFirst { onFailure("\(url.path): cannot write the log: \(OutputFile.reason(code))") }
    }

    /// The entries in the last 64 KiB of a log, in order; lines that are not ours are passed over. None where it cannot
    /// be read.
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
