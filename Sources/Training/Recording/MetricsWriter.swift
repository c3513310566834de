import Checkpoints
import Coordination
package import Foundation
import Glibc

/// Writes `metrics.jsonl`: one JSON object a line for each committed step.
///
/// Numbers are written so that they read back to the same bits. A line is written whole or not at all.
package struct MetricsWriter: ~Copyable {
    private let url: URL
    private var descriptor: Int32
    /// Lines that a resume found and could not place in the run. The file as it was is ``old``.
    package let strangers: Int
    package var old: URL { Self.old(url) }

    /// - Parameter step: on a resume, the step of the checkpoint: later lines, which the run will write again, and torn
    ///   ones are dropped. Without it the file starts empty.
    package init(url: URL, resumingAt step: UInt64?) throws(RecordingError) {
        let strangers = if let step { try Self.drop(after: step, in: url) } else { 0 }
        let descriptor = try Self.open(url, flags: step == nil ? O_TRUNC : 0)
        self.url = url
        self.descriptor = descriptor
        self.strangers = strangers
    }

    deinit { close(descriptor) }

    private static func open(_ url: URL, flags: Int32 = 0) throws(RecordingError) -> Int32 {
        let descriptor = OutputFile.open(url.path, O_APPEND | flags)
        guard descriptor >= 0 else { throw RecordingError(.metrics, url, code: errno) }
        return descriptor
    }

    /// Appends the line of a step, with its validation loss (nats a character) where it was evaluated.
    ///
    /// All numbers are to be finite: JSON has no others.
    package func append(_ record: StepRecord, validationLoss: Double? = nil) throws(RecordingError) {
        let end = lseek(descriptor, 0, SEEK_END)
        let code = writeWhole(Self.line(record, validationLoss), to: descriptor)
        guard code == 0 else {
            // On a full disk a part may have been written: the next line must not be glued to it.
            _ = ftruncate(descriptor, end)
            throw RecordingError(.metrics, url, code: code)
        }
    }

    /// Writes the last line anew, with the loss of an evaluation that came late. It is there at every moment.
    package mutating func replaceLast(with record: StepRecord, validationLoss: Double) throws(RecordingError) {
        try Self.drop(after: record.step - 1, in: url, adding: Self.line(record, validationLoss))
        let replacement = try Self.open(url)
        close(descriptor)
        descriptor = replacement
    }

    private static func line(_ record: StepRecord, _ validationLoss: Double?) -> [UInt8] {
        var text = JSONText(capacity: 512)
        text.object { line in
            line.put(record.step, "step")
            line.put(record.epoch, "epoch")
            line.put(record.loss, "loss")
            line.put(record.gradientNorm, "gradient_norm")
            line.put(record.learningRate, "learning_rate")
            line.put(record.charactersPerSecond, "characters_per_second")
            line.put(record.stepSeconds, "step_seconds")
            line.put(record.workers, "workers")
            line.put(record.digest.hexadecimal, "digest")
            if let validationLoss {
                line.put(validationLoss, "validation_loss")
                line.put(bits(ofNats: validationLoss), "validation_bits_per_character")
            }
        }
        return text.bytes + [UInt8(ascii: "\n")]
    }

    /// Brings the lines to the disk itself, so that they outlive a loss of power.
    ///
    /// - Throws: ``RecordingError`` or ``CheckpointError``.
    package func synchronise() throws {
        while fsync(descriptor) != 0 {
            // Not a file, or a file system that cannot do it.
            if [EINVAL, EOPNOTSUPP, ENOSYS].contains(errno) { break }
            if errno != EINTR { throw RecordingError(.metrics, url, code: errno) }
        }
        try AtomicFile.synchroniseFolder(url.deletingLastPathComponent())
    }

    private static func old(_ url: URL) -> URL { url.appendingPathExtension("old") }

    /// Rewrites the file with the whole lines up to `step`, each step once and in order, and what is added.
    ///
    /// - Returns: whole lines that are neither kept nor of a later step.
    @discardableResult
    private static func drop(
        after step: UInt64, in url: URL, adding added: [UInt8] = []
    ) throws(RecordingError) -> Int {
        guard let bytes = try contents(of: url) else { return 0 }
        var (kept, strangers) = bytes.withUnsafeBytes { wholeLines(of: $0, upTo: step) }
        guard kept.count < bytes.count || !added.isEmpty else { return 0 }
        kept += added

        // Not by AtomicFile: before the new file takes the name, the old one may be given another.
        let temporary = url.appendingPathExtension("temporary")
        let target = Glibc.open(temporary.path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o666)
        guard target >= 0 else { throw RecordingError(.metrics, temporary, code: errno) }
        var code = writeWhole(kept, to: target)
        if code == 0, fsync(target) != 0 { code = errno }
        close(target)
        if code == 0, strangers > 0 {
            unlink(old(url).path)
            // Some file systems have no second names: then there is a moment without the first.
            if link(url.path, old(url).path) != 0, rename(url.path, old(url).path) != 0 { code = errno }
        }
        if code == 0, rename(temporary.path, url.path) != 0 { code = errno }
        guard code == 0 else {
            unlink(temporary.path)
            throw RecordingError(.metrics, url, code: code)
        }
        return strangers
    }

    /// nil where there is none, or it is no file.
    private static func contents(of url: URL) throws(RecordingError) -> Data? {
        let descriptor = Glibc.open(url.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw RecordingError(.metrics, url, code: errno) }
            return nil
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw RecordingError(.metrics, url, code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        do {
            return try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).readToEnd() ?? Data()
        } catch {
            throw RecordingError(.metrics, url, code: EIO)
        }
    }

    private static func wholeLines(
        of bytes: UnsafeRawBufferPointer, upTo step: UInt64
    ) -> (kept: [UInt8], strangers: Int) {
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        var (last, strangers): (UInt64, Int) = (0, 0)
        var start = bytes.startIndex
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let number = self.step(ofLine: bytes[start..<end])
            if let number, number > last, number <= step {
                kept += bytes[start...end]
                last = number
            } else if number.map({ $0 <= step }) ?? true {
                strangers += 1
            }
            start = end + 1
        }
        return (kept, strangers)
    }

    private static let beginning = Array("{\"step\":".utf8)

    /// The step of a line as `append` writes it; nil for anything else.
    private static func step(ofLine line: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        guard line.starts(with: beginning), line.last == UInt8(ascii: "}") else { return nil }
        let digits = line.dropFirst(beginning.count).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return UInt64(String(decoding: digits, as: UTF8.self))
    }
}
