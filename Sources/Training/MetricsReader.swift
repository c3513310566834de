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
        /// The step's own line, where it has no validation loss.
        package var unevaluated: StepRecord?
    }

    /// Nothing where the file cannot be read.
    package static func history(in url: URL, upTo step: UInt64) -> History {
        var history = History()
        read(url) { record, validationLoss in
            guard record.step <= step else { return }
            if let validationLoss {
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

    /// A flat JSON object whose values are numbers and a digest: nothing in it holds a comma, a blank or an escape.
    private static func parsed(_ line: Slice<UnsafeRawBufferPointer>) -> (StepRecord, validationLoss: Double?)? {
        guard line.first == UInt8(ascii: "{"), line.last == UInt8(ascii: "}") else { return nil }
        var fields: [String: String] = [:]
        for pair in line.dropFirst().dropLast().split(separator: UInt8(ascii: ",")) {
            guard let colon = pair.firstIndex(of: UInt8(ascii: ":")) else { return nil }
            let name = String(decoding: pair[..<colon], as: UTF8.self)
            let value = String(decoding: pair[(colon + 1)...], as: UTF8.self)
            guard fields.updateValue(value, forKey: name) == nil else { return nil }
        }
        func whole<Value: FixedWidthInteger>(_ name: String) -> Value? { fields["\"\(name)\""].flatMap { Value($0) } }
        func number(_ name: String) -> Double? {
            fields["\"\(name)\""].flatMap { Double($0) }.flatMap { $0.isFinite ? $0 : nil }
        }
        guard let step: UInt64 = whole("step"), (1...RunConfiguration.maximumSteps).contains(step),
            let epoch: UInt64 = whole("epoch"), let loss = number("loss"), let gradientNorm = number("gradient_norm"),
            let learningRate = number("learning_rate"), let charactersPerSecond = number("characters_per_second"),
            let stepSeconds = number("step_seconds"), let workers: Int = whole("workers"),
            let quoted = fields["\"digest\""], quoted.first == "\"", quoted.last == "\"",
            let digest = UInt64(quoted.dropFirst().dropLast(), radix: 16)
        else { return nil }
        let record = StepRecord(
            step: step, epoch: epoch, loss: loss, gradientNorm: gradientNorm, learningRate: learningRate,
            charactersPerSecond: charactersPerSecond, stepSeconds: stepSeconds, workers: workers, digest: digest)
        return (record, number("validation_loss"))
    }
}
