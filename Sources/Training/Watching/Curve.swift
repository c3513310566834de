import Foundation

/// A run's loss and speed over its steps, in bounded memory: where there are too many points every second one goes.
package struct Curve: Codable, Sendable, Equatable {
    /// A committed step.
    package struct Point: Codable, Sendable, Equatable {
        package var step: UInt64
        /// Nats a character, before the update.
        package var loss: Double
        /// Before clipping.
        package var gradientNorm: Double
        package var charactersPerSecond: Double
        package var workers: Int
    }

    /// An evaluation of the held-out text after a step.
    package struct Validation: Codable, Sendable, Equatable {
        package var step: UInt64
        /// Nats a character.
        package var loss: Double
    }

    /// Points of each kind at most.
    static let limit = 2048
    /// By ascending step, as are the validations.
    package private(set) var points: [Point] = []
    package private(set) var validations: [Validation] = []
    /// Steps between points.
    private var stride: UInt64 = 1

    private enum CodingKeys: String, CodingKey { case points, validations }

    package init() {}

    /// JSON, keys in snake case.
    package func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        // All numbers are finite.
        return Array(try! encoder.encode(self))
    }

    /// Goes on by a later step, with its validation loss where it was evaluated.
    package mutating func append(_ record: StepRecord, validationLoss: Double? = nil) {
        if let validationLoss { append(validation: validationLoss, step: record.step) }
        guard points.last.map({ record.step >= $0.step + stride }) ?? true else { return }
        points.append(
            Point(
                step: record.step, loss: record.loss, gradientNorm: record.gradientNorm,
                charactersPerSecond: record.charactersPerSecond, workers: record.workers))
        if points.count > Self.limit {
            points = points.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
            stride *= 2
        }
    }

    /// Goes on by the validation loss, in nats a character, of a later step.
    package mutating func append(validation loss: Double, step: UInt64) {
        validations.append(Validation(step: step, loss: loss))
        if validations.count > Self.limit {
            validations = validations.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
        }
    }
}
