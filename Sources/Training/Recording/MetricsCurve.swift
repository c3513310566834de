package import Foundation

/// The losses of a run as `metrics.jsonl` has them.
package struct MetricsCurve: Sendable, Equatable {
    /// The losses of one step.
    package struct Point: Sendable, Equatable {
        package var step: UInt64
        /// Nats a character.
        package var loss: Double
        /// Nats a character; nil where the step was not evaluated.
        package var validationLoss: Double?

        package init(step: UInt64, loss: Double, validationLoss: Double? = nil) {
            self.step = step
            self.loss = loss
            self.validationLoss = validationLoss
        }
    }

    /// In the order of their steps, each of which is there once.
    package private(set) var points: [Point]

    /// - Parameter points: in the order of their steps.
    package init(points: [Point]) { self.points = points }

    /// The points of a file's lines, in the order of their steps: a line whose step comes too late is passed over. None
    /// where the file cannot be read.
    package init(contentsOf url: URL) {
        points = []
        MetricsReader.read(url) { record, validationLoss in
            guard record.step > points.last?.step ?? 0 else { return }
            points.append(Point(step: record.step, loss: record.loss, validationLoss: validationLoss))
        }
    }
}
