import Checkpoints
package import Foundation
import Glibc

/// Writes `events.out.tfevents.*` for TensorBoard: scalars of every step, and samples as text.
///
/// What was appended is written by ``flush()``: several records go out at once.
///
/// A resume begins a new file, as is usual; what earlier files hold of steps that will be done again is cut off, and a
/// TensorBoard that has read it is told.
package struct EventFileWriter: ~Copyable {
    private let url: URL
    private let descriptor: Int32
    private let time: @Sendable () -> Double
    /// Records that are not yet written.
    private var waiting: [UInt8] = []

    /// - Parameters:
    ///   - folder: the run folder.
    ///   - step: of a resume, the last step that stands.
    package init(
        folder: URL, resumingAt step: UInt64?, time: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) throws(RecordingError) {
        if let step {
            for file in Self.files(in: folder) { try Self.drop(after: step, in: file) }
        }
        let now = time()
        let host = ProcessInfo.processInfo.hostName.replacing("/", with: "-")
        // TensorBoard reads the files of a folder in the order of their names.
        let name = "events.out.tfevents.\(String(format: "%010d", Int(now))).\(host).\(getpid())"
        var url = folder.appendingPathComponent("\(name).0")
        var descriptor: Int32 = -1
        for number in 0..<100 {
            url = folder.appendingPathComponent("\(name).\(number)")
            descriptor = open(url.path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0o666)
            if descriptor >= 0 || errno != EEXIST { break }
        }
        guard descriptor >= 0 else { throw RecordingError(.events, url, code: errno) }
        var bytes = EventRecord(time: now, step: 0, content: .version).framed
        if let step { bytes += EventRecord(time: now, step: step + 1, content: .sessionStart).framed }
        let code = writeWhole(bytes, to: descriptor)
        guard code == 0 else {
            close(descriptor)
            throw RecordingError(.events, url, code: code)
        }
        self.url = url
        self.descriptor = descriptor
        self.time = time
    }

    deinit { close(descriptor) }

    /// The scalars of a step; `validationLoss` is in nats a character.
    package mutating func append(_ record: StepRecord, validationLoss: Double? = nil) {
        var values: [(tag: String, value: EventRecord.Value)] = [
            ("loss/train", .scalar(Float(record.loss))),
            ("bits_per_character/train", .scalar(Float(bits(ofNats: record.loss)))),
            ("learning_rate", .scalar(Float(record.learningRate))),
            ("gradient_norm", .scalar(Float(record.gradientNorm))),
            ("characters_per_second", .scalar(Float(record.charactersPerSecond))),
            ("step_seconds", .scalar(Float(record.stepSeconds))),
            ("workers", .scalar(Float(record.workers))),
        ]
        if let validationLoss { values += Self.values(validationLoss: validationLoss) }
        append(step: record.step, values)
    }

    /// The loss of an evaluation that came later than the step's other numbers.
    package mutating func append(validationLoss: Double, step: UInt64) {
        append(step: step, Self.values(validationLoss: validationLoss))
    }

    private static func values(validationLoss: Double) -> [(tag: String, value: EventRecord.Value)] {
        [
            ("loss/validation", .scalar(Float(validationLoss))),
            ("bits_per_character/validation", .scalar(Float(bits(ofNats: validationLoss)))),
        ]
    }

    /// Means over the workers, in seconds.
    package mutating func append(phases: [(name: String, seconds: Double)], step: UInt64) {
        append(step: step, phases.map { ("phase_seconds/\($0.name)", .scalar(Float($0.seconds))) })
    }

    /// A text that the model wrote after `step`, shown as it is.
    package mutating func append(sample: String, step: UInt64) {
        // A code block, so that no character of the sample is taken for Markdown.
        let block = sample.split(omittingEmptySubsequences: false) { $0.isNewline }.map { "    \($0)" }
        append(step: step, [("sample", .text(block.joined(separator: "\n")))])
    }

    private mutating func append(step: UInt64, _ values: [(tag: String, value: EventRecord.Value)]) {
        waiting += EventRecord(time: time(), step: step, content: .summary(values)).framed
    }

    /// Writes what was appended. What the disk does not take is lost.
    package mutating func flush() throws(RecordingError) {
        guard !waiting.isEmpty else { return }
        let end = lseek(descriptor, 0, SEEK_END)
        let code = writeWhole(waiting, to: descriptor)
        waiting.removeAll(keepingCapacity: true)
        guard code == 0 else {
            // On a full disk a part may have been written: a reader stops at a torn record.
            _ = ftruncate(descriptor, end)
            throw RecordingError(.events, url, code: code)
        }
    }

    // MARK: Resuming

    static func files(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasPrefix("events.out.tfevents.") }.sorted().map(folder.appendingPathComponent)
    }

    /// Cuts a file before its first record of a later step, or that is torn. Steps only grow within a file.
    private static func drop(after step: UInt64, in url: URL) throws(RecordingError) {
        guard let bytes = try? Data(contentsOf: url, options: .mappedIfSafe) else { return }
        var position = 0
        while let next = EventFrame(bytes, at: position), next.step.map({ $0 <= step }) ?? true {
            position = next.end
        }
        guard position < bytes.count else { return }
        guard truncate(url.path, position) == 0 else { throw RecordingError(.events, url, code: errno) }
    }
}

/// A whole record of an event file, as far as a resume needs it.
struct EventFrame {
    let end: Int
    /// nil where the event has none.
    let step: UInt64?
    let data: Data

    /// nil where no whole, sound record begins at `position`.
    init?(_ bytes: Data, at position: Int) {
        func integer(_ offset: Int, _ size: Int) -> UInt64 {
            (0..<size).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + offset + $1]) << UInt64(8 * $1) }
        }
        guard position + EventRecord.overhead <= bytes.count else { return nil }
        let length = integer(position, 8)
        guard length <= UInt64(bytes.count - position - EventRecord.overhead) else { return nil }
        let start = bytes.startIndex + position
        data = bytes[start + 12..<start + 12 + Int(length)]
        guard UInt64(CRC32C.masked(bytes[start..<start + 8])) == integer(position + 8, 4),
            UInt64(CRC32C.masked(data)) == integer(position + 12 + Int(length), 4)
        else { return nil }
        end = position + EventRecord.overhead + Int(length)
        // The time, one key and eight bytes, then the step where it is not zero.
        var rest = data.dropFirst(9)
        guard data.first == 1 << 3 | 1, rest.popFirst() == 2 << 3 else {
            step = nil
            return
        }
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = rest.popFirst(), shift < 64 {
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { break }
            shift += 7
        }
        step = value
    }
}
