package import Kernels

/// An optimizer's state and its fused single-precision update, as `torch.optim` defines it.
package final class Optimizer: Sendable {
    package let configuration: OptimizerConfiguration
    /// In the order of `OptimizerConfiguration.slotNames`, each as long as the parameters.
    package let slots: [FloatBuffer]

    /// What each element of the gradient is clamped to, after it was multiplied by the clip coefficient.
    private let clipValue: Float

    /// - Parameter clipValue: nil for no clamping.
    package init(configuration: OptimizerConfiguration, count: Int, clipValue: Double? = nil) {
        self.configuration = configuration
        self.clipValue = clipValue.map { Float($0) } ?? .infinity
        slots = configuration.slotNames.map { _ in FloatBuffer(count: count) }
    }

    /// Updates `parameters` and the state in place.
    package func apply(gradient: FloatBuffer, to parameters: FloatBuffer, scalars: UpdateScalars) {
        let values = coefficients(scalars)
        let own = configuration
        switch own.kind {
        case .adam, .adamw:
            Updates.adam(
                parameters, gradient: gradient, average: slots[0], square: slots[1],
                largest: own.amsgrad ? slots[2] : nil, values)
        case .rmsprop:
            Updates.rmsprop(
                parameters, gradient: gradient, square: slots[0], average: own.centered ? slots[1] : nil,
                momentum: own.momentum > 0 ? slots.last : nil, values)
        case .sgd:
            Updates.sgd(parameters, gradient: gradient, momentum: slots.first, values)
        }
    }

    private func coefficients(_ scalars: UpdateScalars) -> UpdateCoefficients {
        let own = configuration
        var values = UpdateCoefficients()
        values.clip = Float(scalars.clipCoefficient)
        values.clamp = clipValue
        values.rate = Float(scalars.learningRate / scalars.biasCorrection1)
        if own.kind == .adamw {
            values.shrink = Float(1 - scalars.learningRate * own.weightDecay)
        } else {
            values.weightDecay = Float(own.weightDecay)
        }
        let smoothing = own.kind == .rmsprop ? own.alpha : own.beta2
        values.oneMinusBeta1 = Float(1 - own.beta1)
        values.beta2 = Float(smoothing)
        values.oneMinusBeta2 = Float(1 - smoothing)
        values.biasCorrection2Root = Float(scalars.biasCorrection2.squareRoot())
        values.epsilon = Float(own.epsilon)
        values.momentum = Float(own.momentum)
        values.oneMinusDampening = Float(1 - own.dampening)
        values.isNesterov = own.nesterov
        values.isFirst = scalars.update == 1
        return values
    }

    /// The scalars of an update; powers by repeated squaring, so that no libm has a say.
    package static func scalars(
        configuration: OptimizerConfiguration, update: UInt64, learningRate: Double, clipCoefficient: Double
    ) -> UpdateScalars {
        var scalars = UpdateScalars(update: update, learningRate: learningRate, clipCoefficient: clipCoefficient)
        if configuration.kind == .adam || configuration.kind == .adamw {
            scalars.biasCorrection1 = 1 - DeterministicMath.power(configuration.beta1, update)
            scalars.biasCorrection2 = 1 - DeterministicMath.power(configuration.beta2, update)
        }
        return scalars
    }
}
