package import Kernels

/// An optimizer's state and its fused single-precision update, as `torch.optim` defines it.
package final class Optimizer {
    package let configuration: OptimizerConfiguration
    /// In the order of `OptimizerConfiguration.slotNames`, each as long as the parameters.
    package let slots: [FloatBuffer]

    package init(configuration: OptimizerConfiguration, count: Int) {
        self.configuration = configuration
        slots = configuration.slotNames.map { _ in FloatBuffer(count: count) }
    }

    /// Updates `parameters` and the state in place.
    package func apply(gradient: FloatBuffer, to parameters: FloatBuffer, scalars: UpdateScalars) {
        let own = configuration
        var values = UpdateCoefficients()
        values.clip = Float(scalars.clipCoefficient)
        values.weightDecay = Float(own.weightDecay)
        values.learningRate = Float(scalars.learningRate)
        values.beta1 = Float(own.beta1)
        values.beta2 = Float(own.beta2)
        values.epsilon = Float(own.epsilon)
        values.stepSize = Float(scalars.learningRate / scalars.biasCorrection1)
        values.biasCorrection2Root = Float(scalars.biasCorrection2.squareRoot())
        values.alpha = Float(own.alpha)
        values.momentum = Float(own.momentum)
        values.dampening = Float(own.dampening)
        values.isDecayDecoupled = own.kind == .adamw
        values.isNesterov = own.nesterov
        values.isFirst = scalars.update == 1
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

    /// The scalars of an update; powers by repeated squaring, so that no libm has a say.
    package static func scalars(
        configuration: OptimizerConfiguration, update: UInt64, learningRate: Double, clipCoefficient: Double
    ) -> UpdateScalars {
        var scalars = UpdateScalars(update: update, learningRate: learningRate, clipCoefficient: clipCoefficient)
        if configuration.kind == .adam || configuration.kind == .adamw {
            scalars.biasCorrection1 = 1 - power(configuration.beta1, update)
            scalars.biasCorrection2 = 1 - power(configuration.beta2, update)
        }
        return scalars
    }

    private static func power(_ base: Double, _ exponent: UInt64) -> Double {
        var result = 1.0
        var square = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result *= square }
            square *= square
            rest >>= 1
        }
        return result
    }
}
