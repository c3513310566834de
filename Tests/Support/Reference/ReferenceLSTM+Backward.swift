import LanguageModel

extension ReferenceLSTM {
    /// All gradients of a loss.
    ///
    /// A weight's gradient is one chain over the steps of the window and, within each, its rows, both ascending.
    ///
    /// - Parameter logitGradient: `[B, T, V]`: of the loss with respect to the logits; what stands past the end of a row
    ///   is not looked at.
    package func backward(_ forward: ReferenceForward<Scalar>, logitGradient: [Scalar]) -> ReferenceGradient<Scalar> {
        let batch = forward.batch
        let hidden = shape.hidden
        var sums = ReferenceSums<Scalar>(layout: layout, batch: batch)
        var carry = [Scalar](repeating: 0, count: batch.carry.count)
        var input: [Scalar]?

        let outputGradient = sums.gather(logitGradient, width: shape.vocabulary)
        sums.add(.outputWeight, outputGradient, sums.gather(forward.maskedOutput, width: hidden))
        sums.add(bias: .outputBias, outputGradient)
        var above = outputInputGradient(logitGradient, batch, sums.order)

        for layer in (0..<shape.layers).reversed() {
            if let mask = batch.masks?[layer] { above = zip(above, mask).map { $0 * $1 } }
            let steps = forward.steps[layer]
            let gates = gateGradient(layer: layer, batch, steps, above: above, carry: &carry)
            let ordered = sums.gather(gates, width: 4 * hidden)
            if shape.bias {
                sums.add(bias: .inputBias(layer: layer), ordered)
                sums.add(bias: .recurrentBias(layer: layer), ordered)
            }
            sums.add(.recurrentWeight(layer: layer), ordered, sums.order.flatMap { steps[$0]!.previousHidden })
            if layer == 0, case .tokens(let tokens) = batch.input {
                sums.add(.inputWeight(layer: layer), ordered, tokens: sums.order.map { tokens[$0] })
                continue
            }
            let inputs = sums.order.flatMap { index -> [Scalar] in
                guard case .dense(let values) = steps[index]!.input else { return [] }
                return values
            }
            sums.add(.inputWeight(layer: layer), ordered, inputs)
            let below = inputGradient(layer: layer, batch, gates, sums.order)
            if layer == 0 { input = below } else { above = below }
        }
        return ReferenceGradient(parameters: sums.values, carry: carry, input: input)
    }

    /// `[B, T, H]`: with respect to what the linear layer read.
    private func outputInputGradient(
        _ logitGradient: [Scalar], _ batch: ReferenceBatch<Scalar>, _ order: [Int]
    ) -> [Scalar] {
        let (hidden, vocabulary) = (shape.hidden, shape.vocabulary)
        let weight = parameter(.outputWeight)
        var gradient = [Scalar](repeating: 0, count: batch.rows * batch.window * hidden)
        for index in order {
            for unit in 0..<hidden {
                gradient[index * hidden + unit] = Scalar.chain(
                    0, Strided(logitGradient, from: index * vocabulary), Strided(weight, from: unit, stride: hidden),
                    count: vocabulary)
            }
        }
        return gradient
    }

    /// `[B, T, 4H]`: with respect to the sums within a layer's gates, from the last step of each row to its first.
    ///
    /// - Parameters:
    ///   - above: `[B, T, H]`, with respect to the layer's output.
    ///   - carry: gets the layer's part.
    private func gateGradient(
        layer: Int, _ batch: ReferenceBatch<Scalar>, _ steps: [LSTMCell<Scalar>.Step?], above: [Scalar],
        carry: inout [Scalar]
    ) -> [Scalar] {
        let hidden = shape.hidden
        let cell = cell(layer: layer)
        var gates = [Scalar](repeating: 0, count: batch.rows * batch.window * 4 * hidden)
        for row in 0..<batch.rows {
            var ofHidden = [Scalar](repeating: 0, count: hidden)
            var ofCell = ofHidden
            for time in (0..<batch.lengths[row]).reversed() {
                let index = row * batch.window + time
                for unit in 0..<hidden { ofHidden[unit] += above[index * hidden + unit] }
                let back = cell.backward(steps[index]!, hiddenGradient: ofHidden, cellGradient: ofCell)
                gates.replaceSubrange(index * 4 * hidden..<(index + 1) * 4 * hidden, with: back.gates)
                (ofHidden, ofCell) = (back.hidden, back.cell)
            }
            let start = (row * shape.layers + layer) * 2 * hidden
            carry.replaceSubrange(start..<start + 2 * hidden, with: ofHidden + ofCell)
        }
        return gates
    }

    /// `[B, T, D]`: with respect to what a layer read.
    private func inputGradient(
        layer: Int, _ batch: ReferenceBatch<Scalar>, _ gates: [Scalar], _ order: [Int]
    ) -> [Scalar] {
        let cell = cell(layer: layer)
        let (size, count) = (cell.inputSize, 4 * shape.hidden)
        var gradient = [Scalar](repeating: 0, count: batch.rows * batch.window * size)
        for index in order {
            let values = cell.inputGradient(gates: Array(gates[index * count..<(index + 1) * count]))
            gradient.replaceSubrange(index * size..<(index + 1) * size, with: values)
        }
        return gradient
    }
}
