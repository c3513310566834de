/// What an update does with a gradient, in PyTorch's terms and with its defaults.
package struct OptimizerConfiguration: Codable, Sendable, Equatable {
    /// The rule of the update, by the names of `--optimizer`.
    package enum Kind: String, Codable, Sendable, CaseIterable { case adam, adamw, rmsprop, sgd }

    package var kind: Kind
    /// The base rate, from which a schedule makes that of each step.
    package var learningRate: Double
    /// Adam's smoothing of gradients, and of their squares.
    package var beta1 = 0.9
    package var beta2 = 0.999
    /// Added to the root that an update is divided by.
    package var epsilon = 1e-8
    /// RMSprop's smoothing constant.
    package var alpha = 0.99
    /// The share of the velocity that is kept: in SGD `v = momentum v + (1 - dampening) g`, in RMSprop without
    /// dampening; 0 for no velocity.
    package var momentum = 0.0
    package var dampening = 0.0
    /// SGD goes by `g + momentum v`, not by `v`.
    package var nesterov = false
    /// RMSprop takes the square of the average gradient off the average square.
    package var centered = false
    /// Adam divides by the largest average of squares so far.
    package var amsgrad = false
    /// L2 added to the gradient; decoupled from it for AdamW.
    package var weightDecay = 0.0

    package init(kind: Kind = .adam, learningRate: Double = 0.001) {
        self.kind = kind
        self.learningRate = learningRate
    }

    /// The names of the state buffers, each as long as the parameters, as PyTorch calls them.
    package var slotNames: [String] {
        switch kind {
        case .adam, .adamw: ["exp_avg", "exp_avg_sq"] + (amsgrad ? ["max_exp_avg_sq"] : [])
        case .rmsprop:
            ["square_avg"] + (centered ? ["grad_avg"] : []) + (momentum > 0 ? ["momentum_buffer"] : [])
        case .sgd: momentum != 0 ? ["momentum_buffer"] : []
        }
    }
}
