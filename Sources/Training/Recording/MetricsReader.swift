package import Foundation
import Glibc

/// Reads `metrics.jsonl` back, as ``MetricsWriter`` writes it; lines that are torn, or no metrics, are passed over.
package enum MetricsReader {
    /// Hands every line to `body`, in order; none where the file cannot be read.
    package static func read(_ url: URL, _ body: (StepRecord, _ validationLoss: Double?) -> Void) {
        contents(of: url).withUnsafeBytes { bytes in
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                if let (record, validationLoss) = parsed(line) { body(record, validationLoss) }
            }
        }
    }

    /// The newest digests on record of steps after `step` up to `last`, at most 1,024; none where the file cannot be
    /// read.
    package static func digests(in url: URL, after step: UInt64, upTo last: UInt64) -> [UInt64: UInt64] {
        contents(of: url).withUnsafeBytes { bytes in
            var found: [UInt64: UInt64] = [:]
            var end = bytes.endIndex
            while found.count < 1024, end > bytes.startIndex {
                let start = bytes[..<(end - 1)].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.startIndex
                let line = bytes[start..<end]
                end = start
                guard line.last == UInt8(ascii: "\n"), let (record, _) = parsed(line.dropLast()) else { continue }
                guard record.step > step else { break }
                if record.step <= last { found[record.step] = record.digest }
            }
            return found
        }
    }

    /// What is on record up to a step, that one included.
    package struct History: Equatable {
        /// Losses in nats a character, in the order of their steps.
        package var validations: [Double] = []
        /// The step's own line, where it has no validation loss that counts.
        package var unevaluated: StepRecord?
    }

    /// Nothing where the file cannot be read.
    ///
    /// - Parameter pending: a step whose evaluation is to be made again: its loss does not count.
    package static func history(in url: URL, upTo step: UInt64, pending: UInt64? = nil) -> History {
        var history = History()
        var last: UInt64 = 0
        read(url) { record, validationLoss in
            guard record.step > last, record.step <= step else { return }
            last = record.step
            if let validationLoss, record.step != pending {
                history.validations.append(validationLoss)
            } else if record.step == step {
                history.unevaluated = record
            }
        }
        return history
    }

    /// The bytes of a file, mapped; none where it cannot be read.
    private static func contents(of url: URL) -> Data {
        // Foundation never frees the page that it reads an empty file into.
        var status = stat()
        guard stat(url.path, &status) == 0, status.st_size > 0 else { return Data() }
        return (try? Data(contentsOf: url, options: .mappedIfSafe)) ?? Data()
    }

    private typealias Bytes = Slice<UnsafeRawBufferPointer>

    /// The names of a line's values, in the order in which they are written; the last may be missing, and others follow.
    private static let names = [
        "step", "epoch", "loss", "gradient_norm", "learning_rate", "characters_per_second", "step_seconds", "workers",
        "digest", "validation_loss",
    ].map { Array("\"\($0)\"".utf8) }

    /// A flat JSON object whose values are numbers and a digest: nothing in it holds a comma, a blank or an escape.
    private static func parsed(_ line: Bytes) -> (StepRecord, validationLoss: Double?)? {
        guard line.count > 2, line.first == UInt8(ascii: "{"), line.last == UInt8(ascii: "}") else { return nil }
        var values = [Bytes?](repeating: nil, count: names.count)
        let end = line.endIndex - 1
        var (start, expected) = (line.startIndex + 1, 0)
        while start < end {
            let comma = line[start..<end].firstIndex(of: UInt8(ascii: ",")) ?? end
            guard let colon = line[start..<comma].firstIndex(of: UInt8(ascii: ":")) else { return nil }
            let name = line[start..<colon]
            let isExpected = expected < names.count && name.elementsEqual(names[expected])
            if let index = isExpected ? expected : names.firstIndex(where: { name.elementsEqual($0) }) {
                guard values[index] == nil else { return nil }
                values[index] = line[(colon + 1)..<comma]
                expected = index + 1
            }
            start = comma + 1
        }
        guard let step = values[0].flatMap(whole), (1...RunConfiguration.maximumSteps).contains(step),
            let epoch = values[1].flatMap(whole), let loss = values[2].flatMap(number),
            let gradientNorm = values[3].flatMap(number), let learningRate = values[4].flatMap(number),
            let charactersPerSecond = values[5].flatMap(number), let stepSeconds = values[6].flatMap(number),
            let workers = values[7].flatMap(whole).flatMap({ Int(exactly: $0) }),
            let digest = values[8].flatMap(digest)
        else { return nil }
        let record = StepRecord(
            step: step, epoch: epoch, loss: loss, gradientNorm: gradientNorm, learningRate: learningRate,
            charactersPerSecond: charactersPerSecond, stepSeconds: stepSeconds, workers: workers, digest: digest)
        return (record, values[9].flatMap(number))
    }

    private static func whole(_ text: Bytes) -> UInt64? {
        // So many digits cannot overflow.
        guard (1...19).contains(text.count) else { return nil }
        var value: UInt64 = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
        }
        return value
    }

    private static func number(_ text: Bytes) -> Double? {
        guard let first = text.first, first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else { return nil }
        // Behind it stands a comma or a bracket, where it stops.
        let start = text.base.baseAddress! + text.startIndex
        var end: UnsafeMutablePointer<CChar>?
        let value = strtod(start.assumingMemoryBound(to: CChar.self), &end)
        guard let end, UnsafeRawPointer(end) == start + text.count, value.isFinite else { return nil }
        return value
    }

    private static func digest(_ text: Bytes) -> UInt64? {
        guard text.count > 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") else { return nil }
        return UInt64(String(decoding: text.dropFirst().dropLast(), as: UTF8.self), radix: 16)
    }
}
