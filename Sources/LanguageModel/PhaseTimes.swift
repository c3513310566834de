/// Where the time of a step went, in seconds of the thread that runs it: its pool's other threads work beside it.
///
/// Read from the clock a few times a step, between the pool's jobs, so that the account costs nothing.
package struct PhaseTimes: Codable, Sendable, Equatable {
    /// Weights into panels, and the tokens and carries into place.
    package var pack = 0.0
    /// All layers, and logits and losses with the gradient of what the output layer reads.
    package var forward = 0.0
    /// Backward through time, layer by layer.
    package var backward = 0.0
    /// Sums over (time, row) for all weights and biases, the packing of the gradients that they are sums of included.
    package var weightGradients = 0.0

    package init() {}

    package var total: Double { pack + forward + backward + weightGradients }

    /// Adds phase by phase.
    package static func += (sum: inout PhaseTimes, step: PhaseTimes) {
        sum.pack += step.pack
        sum.forward += step.forward
        sum.backward += step.backward
        sum.weightGradients += step.weightGradients
    }
}
