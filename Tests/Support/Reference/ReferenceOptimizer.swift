package import LanguageModel

/// PyTorch's optimizers, one parameter after the other, in the order of operations of its single-tensor code.
package struct ReferenceOptimizer<Scalar: ReferenceScalar>: Sendable {
    package let configuration: OptimizerConfiguration
    /// In the order of the configuration's `slotNames`, each as long as the parameters.
    private(set) package var slots: [[Scalar]]
    private(set) package var updates = 0
    /// `beta1^updates` and `beta2^updates`
    private var powers = (1.0, 1.0)

    /// - Parameter count: of the parameters.
    package init(configuration: OptimizerConfiguration, count: Int) {
        self.configuration = configuration
        slots = configuration.slotNames.map { _ in Array(repeating: 0, count: count) }
    }

    /// - Parameter learningRate: nil for the configuration's.
    package mutating func update(
        _ parameters: inout [Scalar], gradient: [Scalar], learningRate: Double? = nil
    ) {
        precondition(parameters.count == gradient.count)
        updates += 1
        powers = (powers.0 * configuration.beta1, powers.1 * configuration.beta2)
        let rate = learningRate ?? configuration.learningRate
        switch configuration.kind {
        case .adam, .adamw: adam(&parameters, gradient, rate)
        case .rmsprop: rmsprop(&parameters, gradient, rate)
        case .sgd: sgd(&parameters, gradient, rate)
        }
    }

    private mutating func adam(_ parameters: inout [Scalar], _ gradients: [Scalar], _ rate: Double) {
        let decay = Scalar(configuration.weightDecay)
        let (beta1, beta2) = (Scalar(1 - configuration.beta1), Scalar(configuration.beta2))
        let rest2 = Scalar(1 - configuration.beta2)
        let size = Scalar(rate / (1 - powers.0))
        let correction = Scalar((1 - powers.1).squareRoot())
        let epsilon = Scalar(configuration.epsilon)
        let shrink = Scalar(1 - rate * configuration.weightDecay)
        for index in parameters.indices {
            var gradient = gradients[index]
            if configuration.kind == .adamw {
                parameters[index] *= shrink
            } else {
                gradient += decay * parameters[index]
            }
            slots[0][index] += beta1 * (gradient - slots[0][index])
            slots[1][index] = beta2 * slots[1][index] + rest2 * gradient * gradient
            var square = slots[1][index]
            if configuration.amsgrad {
                square = max(slots[2][index], square)
                slots[2][index] = square
            }
            parameters[index] -= size * slots[0][index] / (square.squareRoot() / correction + epsilon)
        }
    }

    private mutating func rmsprop(_ parameters: inout [Scalar], _ gradients: [Scalar], _ rate: Double) {
        let decay = Scalar(configuration.weightDecay)
        let (alpha, rest) = (Scalar(configuration.alpha), Scalar(1 - configuration.alpha))
        let (epsilon, momentum) = (Scalar(configuration.epsilon), Scalar(configuration.momentum))
        let size = Scalar(rate)
        for index in parameters.indices {
            let gradient = gradients[index] + decay * parameters[index]
            slots[0][index] = alpha * slots[0][index] + rest * gradient * gradient
            var square = slots[0][index]
            if configuration.centered {
                slots[1][index] += rest * (gradient - slots[1][index])
                square -= slots[1][index] * slots[1][index]
            }
            let step = gradient / (square.squareRoot() + epsilon)
            if configuration.momentum > 0 {
                let last = slots.count - 1
                slots[last][index] = momentum * slots[last][index] + step
                parameters[index] -= size * slots[last][index]
            } else {
                parameters[index] -= size * step
            }
        }
    }

    private mutating func sgd(_ parameters: inout [Scalar], _ gradients: [Scalar], _ rate: Double) {
        let decay = Scalar(configuration.weightDecay)
        let (momentum, undamped) = (Scalar(configuration.momentum), Scalar(1 - configuration.dampening))
        let size = Scalar(rate)
        for index in parameters.indices {
            var gradient = gradients[index] + decay * parameters[index]
            if configuration.momentum != 0 {
                // The first gradient fills the buffer as it is: dampening begins with the second.
                let buffer = updates == 1 ? gradient : momentum * slots[0][index] + undamped * gradient
                slots[0][index] = buffer
                gradient = configuration.nesterov ? gradient + momentum * buffer : buffer
            }
            parameters[index] -= size * gradient
        }
    }
}
