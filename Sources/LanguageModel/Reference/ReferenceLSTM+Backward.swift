extension ReferenceLSTM {
    /// All gradients of a loss.
    ///
    /// A weight's gradient is one chain over the steps of the window and, within each, its rows, both ascending.
    ///
    /// - Parameter logitGradient: `[B, T, V]`: of the loss with respect to the logits; what stands past the end of a row
    ///   is not looked at.
    package func backward(_ forward: ReferenceForward<Scalar>, logitGradient: [Scalar]) -> ReferenceGradient<Scalar> {
        let batch = forward.batch
        let (hidden, vocabulary) = (shape.hidden, shape.vocabulary)
        var gradient = [Scalar](repeating: 0, count: layout.count)
        var carry = [Scalar](repeating: 0, count: batch.carry.count)
        var input: [Scalar]?
        let order = (0..<batch.window).flatMap { time in
            (0..<batch.rows).filter { time < batch.lengths[$0] }.map { $0 * batch.window + time }
        }

        func gather(_ values: [Scalar], width: Int) -> [Scalar] {
            order.flatMap { values[$0 * width..<($0 + 1) * width] }
        }
        /// Adds `sum over steps of left[step, j] * right[step, k]` to a matrix.
        func accumulate(_ parameter: Parameter, _ left: [Scalar], _ right: [Scalar]) {
            let entry = layout[parameter]
            let (rows, columns) = (entry.shape[0], entry.shape[1])
            for row in 0..<rows {
                for column in 0..<columns {
                    gradient[entry.range.lowerBound + row * columns + column] = Scalar.chain(
                        0, Strided(left, from: row, stride: rows), Strided(right, from: column, stride: columns),
                        count: order.count)
                }
            }
        }
        func accumulate(bias parameter: Parameter, _ left: [Scalar]) {
            let entry = layout[parameter]
            for (index, value) in left.enumerated() {
                gradient[entry.range.lowerBound + index % entry.range.count] += value
            }
        }

        let outputGradient = gather(logitGradient, width: vocabulary)
        accumulate(.outputWeight, outputGradient, gather(forward.maskedOutput, width: hidden))
        accumulate(bias: .outputBias, outputGradient)
        let weight = parameter(.outputWeight)
        var above = [Scalar](repeating: 0, count: batch.rows * batch.window * hidden)
        for index in order {
            for unit in 0..<hidden {
                above[index * hidden + unit] = Scalar.chain(
                    0, Strided(logitGradient, from: index * vocabulary), Strided(weight, from: unit, stride: hidden),
                    count: vocabulary)
            }
        }

        for layer in (0..<shape.layers).reversed() {
            if let mask = batch.masks?[layer] { above = zip(above, mask).map { $0 * $1 } }
            let cell = cell(layer: layer)
            let steps = forward.steps[layer]
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
            let ordered = gather(gates, width: 4 * hidden)
            if shape.bias {
                accumulate(bias: .inputBias(layer: layer), ordered)
                accumulate(bias: .recurrentBias(layer: layer), ordered)
            }
            accumulate(.recurrentWeight(layer: layer), ordered, order.flatMap { steps[$0]!.previousHidden })
            let inputWeight = Parameter.inputWeight(layer: layer)
            if layer == 0, case .tokens(let tokens) = batch.input {
                let start = layout[inputWeight].range.lowerBound
                for index in order {
                    for gate in 0..<4 * hidden {
                        gradient[start + gate * vocabulary + tokens[index]] += gates[index * 4 * hidden + gate]
                    }
                }
                continue
            }
            let inputs = order.flatMap { index -> [Scalar] in
                guard case .dense(let values) = steps[index]!.input else { return [] }
                return values
            }
            accumulate(inputWeight, ordered, inputs)
            var below = [Scalar](repeating: 0, count: batch.rows * batch.window * cell.inputSize)
            for index in order {
                let values = cell.inputGradient(gates: Array(gates[index * 4 * hidden..<(index + 1) * 4 * hidden]))
                below.replaceSubrange(index * cell.inputSize..<(index + 1) * cell.inputSize, with: values)
            }
            if layer == 0 { input = below } else { above = below }
        }
        return ReferenceGradient(parameters: gradient, carry: carry, input: input)
    }
}
