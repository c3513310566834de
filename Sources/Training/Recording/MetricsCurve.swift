package import Foundation

/// The losses of a run as `metrics.jsonl` has them.
package struct MetricsCurve: Sendable, Equatable {
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

    package private(set) var points: [Point]

    package init(points: [Point]) { self.points = points }

    /// Of the lines of a file; none where it cannot be read.
    package init(contentsOf url: URL) {
        points = []
        MetricsReader.read(url) { record, validationLoss in
            points.append(Point(step: record.step, loss: record.loss, validationLoss: validationLoss))
        }
    }
}
