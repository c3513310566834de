/// One LSTM layer, one row, one step: the formulas of `torch.nn.LSTM`, gate by gate.
///
///     i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      c' = f c + i g
///     f = sigmoid(W_if x + b_if + W_hf h + b_hf)      h' = o tanh(c')
///     g = tanh   (W_ig x + b_ig + W_hg h + b_hg)
///     o = sigmoid(W_io x + b_io + W_ho h + b_ho)
package struct LSTMCell<Scalar: ReferenceScalar>: Sendable {
    /// What a cell reads: one of `D` values set to 1, or all of them.
    package enum Input: Sendable {
        case token(Int)
        case dense([Scalar])
    }

    /// A step that was taken, with all that the way back needs.
    package struct Step: Sendable {
        package let input: Input
        /// `[H]` each: the state before the step.
        package let previousHidden: [Scalar]
        package let previousCell: [Scalar]
        /// `[4H]`: i, f, g, o after their functions.
        package let gates: [Scalar]
        /// `[H]` each: the state after the step.
        package let cell: [Scalar]
        package let hidden: [Scalar]
    }

    /// `D` and `H`.
    package let inputSize: Int
    package let hiddenSize: Int
    /// `[4H, D]` and `[4H, H]`, gates in the order i, f, g, o.
    package let inputWeight: [Scalar]
    package let hiddenWeight: [Scalar]
    /// `[4H]`: the sum of both biases.
    package let bias: [Scalar]

    package init(inputSize: Int, hiddenSize: Int, inputWeight: [Scalar], hiddenWeight: [Scalar], bias: [Scalar]) {
        precondition(inputWeight.count == 4 * hiddenSize * inputSize)
        precondition(hiddenWeight.count == 4 * hiddenSize * hiddenSize && bias.count == 4 * hiddenSize)
        self.inputSize = inputSize
        self.hiddenSize = hiddenSize
        self.inputWeight = inputWeight
        self.hiddenWeight = hiddenWeight
        self.bias = bias
    }

    /// - Parameter hidden: `[H]`, the state before the step; so is `cell`.
    package func forward(_ input: Input, hidden: [Scalar], cell: [Scalar]) -> Step {
        let size = hiddenSize
        var gates = bias
        for gate in gates.indices {
            switch input {
            case .token(let token): gates[gate] += inputWeight[gate * inputSize + token]
            case .dense(let values):
                gates[gate] = Scalar.chain(
                    gates[gate], Strided(values), Strided(inputWeight, from: gate * inputSize), count: inputSize)
            }
            let sum = Scalar.chain(
                gates[gate], Strided(hidden), Strided(hiddenWeight, from: gate * size), count: size)
            gates[gate] = gate / size == 2 ? Scalar.hyperbolicTangent(sum) : 1 / (1 + Scalar.exponential(-sum))
        }
        var newCell = cell
        var newHidden = hidden
        for unit in 0..<size {
            let (i, f, g, o) = (gates[unit], gates[size + unit], gates[2 * size + unit], gates[3 * size + unit])
            newCell[unit] = f * cell[unit] + i * g
            newHidden[unit] = o * Scalar.hyperbolicTangent(newCell[unit])
        }
        return Step(
            input: input, previousHidden: hidden, previousCell: cell, gates: gates, cell: newCell, hidden: newHidden)
    }

    /// The way back through one step.
    ///
    /// - Parameters:
    ///   - hiddenGradient: `[H]`, of the loss with respect to the state after the step; so is `cellGradient`.
    /// - Returns: `[4H]`, with respect to the sums within the gates' functions, and `[H]` each with respect to the state
    ///   before the step.
    package func backward(
        _ step: Step, hiddenGradient: [Scalar], cellGradient: [Scalar]
    ) -> (gates: [Scalar], hidden: [Scalar], cell: [Scalar]) {
        let size = hiddenSize
        var gates = step.gates
        var previousCell = cellGradient
        for unit in 0..<size {
            let (i, f) = (step.gates[unit], step.gates[size + unit])
            let (g, o) = (step.gates[2 * size + unit], step.gates[3 * size + unit])
            let squashed = Scalar.hyperbolicTangent(step.cell[unit])
            let ofHidden = hiddenGradient[unit]
            let ofCell = cellGradient[unit] + ofHidden * o * (1 - squashed * squashed)
            gates[unit] = ofCell * g * (i * (1 - i))
            gates[size + unit] = ofCell * step.previousCell[unit] * (f * (1 - f))
            gates[2 * size + unit] = ofCell * i * (1 - g * g)
            gates[3 * size + unit] = ofHidden * squashed * (o * (1 - o))
            previousCell[unit] = ofCell * f
        }
        let previousHidden = (0..<size).map { unit in
            Scalar.chain(0, Strided(gates), Strided(hiddenWeight, from: unit, stride: size), count: 4 * size)
        }
        return (gates, previousHidden, previousCell)
    }

    /// `[D]`: the gradient with respect to the input of a step, from that of its gates.
    package func inputGradient(gates: [Scalar]) -> [Scalar] {
        (0..<inputSize).map { index in
            Scalar.chain(
                0, Strided(gates), Strided(inputWeight, from: index, stride: inputSize), count: 4 * hiddenSize)
        }
    }
}
