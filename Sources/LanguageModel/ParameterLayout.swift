/// The ordered names, shapes and ranges of a model's parameters: the one source for checkpoint names, gradients,
/// optimizer state and wire chunks. Parameters are one contiguous run of floats in the order of PyTorch's
/// `state_dict`.
package struct ParameterLayout: Sendable, Equatable {
    /// One parameter, and where it lies.
    package struct Entry: Sendable, Equatable {
        package let parameter: Parameter
        /// As ``Parameter`` states it.
        package let shape: [Int]
        /// Where the values lie in the flat run.
        package let range: Range<Int>

        /// PyTorch's.
        package var name: String { parameter.name }
    }

    package let entries: [Entry]
    /// Floats of all parameters together.
    package let count: Int

    /// The parameters of a model, layer by layer, the output layer's last.
    package init(_ shape: ModelShape) {
        var entries: [Entry] = []
        var offset = 0
        func add(_ parameter: Parameter, _ dimensions: [Int]) {
            let size = dimensions.reduce(1, *)
            entries.append(Entry(parameter: parameter, shape: dimensions, range: offset..<offset + size))
            offset += size
        }
        for layer in 0..<shape.layers {
            add(.inputWeight(layer: layer), [4 * shape.hidden, shape.inputSize(layer: layer)])
            add(.recurrentWeight(layer: layer), [4 * shape.hidden, shape.hidden])
            if shape.bias {
                add(.inputBias(layer: layer), [4 * shape.hidden])
                add(.recurrentBias(layer: layer), [4 * shape.hidden])
            }
        }
        add(.outputWeight, [shape.vocabulary, shape.hidden])
        add(.outputBias, [shape.vocabulary])
        self.entries = entries
        count = offset
    }

    /// - Parameter parameter: one that the model has.
    package subscript(parameter: Parameter) -> Entry {
        guard let entry = entries.first(where: { $0.parameter == parameter }) else {
            preconditionFailure("the model has no \(parameter.name)")
        }
        return entry
    }

    /// By PyTorch's name.
    package subscript(name: String) -> Entry? { entries.first { $0.name == name } }

    /// Where the parameters of `layer` lie: its weights and biases stand together.
    package func range(layer: Int) -> Range<Int> {
        let own = entries.filter { $0.parameter.layer == layer }
        return own.first!.range.lowerBound..<own.last!.range.upperBound
    }

    /// Where `fc.weight` and `fc.bias` lie: behind all layers.
    package var outputRange: Range<Int> { self[.outputWeight].range.lowerBound..<count }
}
