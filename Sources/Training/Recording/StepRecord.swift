/// What is known of a committed step: a line of `metrics.jsonl`.
package struct StepRecord: Sendable, Equatable {
    /// Committed steps: 1 after the first.
    package var step: UInt64
    /// From 1.
    package var epoch: UInt64
    /// Nats a character, before the update.
    package var loss: Double
    /// Before clipping.
    package var gradientNorm: Double
    package var learningRate: Double
    package var charactersPerSecond: Double
    package var stepSeconds: Double
    package var workers: Int
    /// The digest of the parameters after the step.
    package var digest: UInt64
}
