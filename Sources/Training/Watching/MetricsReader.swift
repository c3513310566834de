package import Foundation

/// Reads `metrics.jsonl` back.
package enum MetricsReader {
    private struct Line: Decodable {
        var step: UInt64
        var epoch: UInt64
        var loss: Double
        var gradientNorm: Double
        var learningRate: Double
        var charactersPerSecond: Double
        var stepSeconds: Double
        var workers: Int
        var digest: String
        var validationLoss: Double?
    }

    /// Hands every whole line to `body`, in order; lines that are torn, or no metrics, are passed over.
    package static func read(_ url: URL, _ body: (StepRecord, _ validationLoss: Double?) -> Void) {
        guard let bytes = try? Data(contentsOf: url, options: .mappedIfSafe) else { return }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let line = try? decoder.decode(Line.self, from: line), line.step <= RunConfiguration.maximumSteps
            else { continue }
            body(
                StepRecord(
                    step: line.step, epoch: line.epoch, loss: line.loss, gradientNorm: line.gradientNorm,
                    learningRate: line.learningRate, charactersPerSecond: line.charactersPerSecond,
                    stepSeconds: line.stepSeconds, workers: line.workers,
                    digest: UInt64(line.digest, radix: 16) ?? 0),
                line.validationLoss)
        }
    }
}
