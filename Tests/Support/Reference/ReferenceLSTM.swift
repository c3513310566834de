package import LanguageModel

/// The model as plainly as it can be said: stacked LSTM layers and a linear layer, batch first, without SIMD, packing
/// or threads. Tests hold the fast path against it.
package struct ReferenceLSTM<Scalar: ReferenceScalar>: Sendable {
    package let shape: ModelShape
    package let layout: ParameterLayout
    /// In the order of the layout.
    package var parameters: [Scalar]

    /// - Parameter parameters: in the order of the layout, and as many.
    package init(shape: ModelShape, parameters: [Scalar]) {
        self.shape = shape
        layout = ParameterLayout(shape)
        precondition(parameters.count == layout.count)
        self.parameters = parameters
    }

    /// Row-major.
    package func parameter(_ parameter: Parameter) -> [Scalar] { Array(parameters[layout[parameter].range]) }

    /// A layer by itself, its two biases added up; zeros for them where the model has none.
    package func cell(layer: Int) -> LSTMCell<Scalar> {
        var bias = [Scalar](repeating: 0, count: 4 * shape.hidden)
        if shape.bias {
            bias = zip(parameter(.inputBias(layer: layer)), parameter(.recurrentBias(layer: layer))).map { $0 + $1 }
        }
        return LSTMCell(
            inputSize: shape.inputSize(layer: layer), hiddenSize: shape.hidden,
            inputWeight: parameter(.inputWeight(layer: layer)), hiddenWeight: parameter(.recurrentWeight(layer: layer)),
            bias: bias)
    }

    /// Runs a batch forward, row after row and layer upon layer, by the formulas of ``LSTMCell``. Logits are
    /// `W h + b` of the top layer's outputs, after their mask where there is one.
    package func forward(_ batch: ReferenceBatch<Scalar>) -> ReferenceForward<Scalar> {
        let (hidden, vocabulary) = (shape.hidden, shape.vocabulary)
        var carry = batch.carry
        var steps: [[LSTMCell<Scalar>.Step?]] = []
        var output: [Scalar] = []
        var masked: [Scalar] = []
        for layer in 0..<shape.layers {
            let cell = cell(layer: layer)
            var taken = [LSTMCell<Scalar>.Step?](repeating: nil, count: batch.rows * batch.window)
            var layerOutput = [Scalar](repeating: 0, count: batch.rows * batch.window * hidden)
            for row in 0..<batch.rows {
                let start = (row * shape.layers + layer) * 2 * hidden
                var state = (Array(carry[start..<start + hidden]), Array(carry[start + hidden..<start + 2 * hidden]))
                for time in 0..<batch.lengths[row] {
                    let index = row * batch.window + time
                    let input: LSTMCell<Scalar>.Input
                    if layer > 0 {
                        input = .dense(Array(masked[index * hidden..<(index + 1) * hidden]))
                    } else {
                        input = batch.input.step(index, vocabulary: vocabulary)
                    }
                    let step = cell.forward(input, hidden: state.0, cell: state.1)
                    state = (step.hidden, step.cell)
                    layerOutput.replaceSubrange(index * hidden..<(index + 1) * hidden, with: step.hidden)
                    taken[index] = step
                }
                carry.replaceSubrange(start..<start + 2 * hidden, with: state.0 + state.1)
            }
            steps.append(taken)
            output = layerOutput
            masked = batch.masks.map { zip(layerOutput, $0[layer]).map { $0 * $1 } } ?? layerOutput
        }
        return ReferenceForward(
            batch: batch, steps: steps, output: output, maskedOutput: masked,
            logits: logits(masked, steps: steps[shape.layers - 1]), carry: carry)
    }

    private func logits(_ output: [Scalar], steps: [LSTMCell<Scalar>.Step?]) -> [Scalar] {
        let (hidden, vocabulary) = (shape.hidden, shape.vocabulary)
        let (weight, bias) = (parameter(.outputWeight), parameter(.outputBias))
        var logits = [Scalar](repeating: 0, count: steps.count * vocabulary)
        for index in steps.indices where steps[index] != nil {
            for character in 0..<vocabulary {
                logits[index * vocabulary + character] = Scalar.chain(
                    bias[character], Strided(output, from: index * hidden),
                    Strided(weight, from: character * hidden), count: hidden)
            }
        }
        return logits
    }
}

extension ReferenceBatch.Input {
    /// What the first layer reads at one row and time.
    func step(_ index: Int, vocabulary: Int) -> LSTMCell<Scalar>.Input {
        switch self {
        case .tokens(let tokens): .token(tokens[index])
        case .dense(let values): .dense(Array(values[index * vocabulary..<(index + 1) * vocabulary]))
        }
    }
}
