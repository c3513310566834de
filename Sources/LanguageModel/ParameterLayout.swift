/// The ordered names, shapes and ranges of a model's parameters: the one source for checkpoint names, gradients,
/// optimizer state and wire chunks. Parameters are one contiguous run of floats in the order of PyTorch's
/// `state_dict`.
package struct ParameterLayout: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        /// PyTorch's name, such as `lstm.weight_ih_l0`.
        package let name: String
        /// Row-major, such as `[4H, D]`; gates stand in the order i, f, g, o.
        package let shape: [Int]
        /// Where the values lie in the flat run.
        package let range: Range<Int>
    }

    package let entries: [Entry]
    package let count: Int

    package init(_ shape: ModelShape) {
        var entries: [Entry] = []
        var offset = 0
        func add(_ name: String, _ dimensions: [Int]) {
            let size = dimensions.reduce(1, *)
            entries.append(Entry(name: name, shape: dimensions, range: offset..<offset + size))
            offset += size
        }
        for layer in 0..<shape.layers {
            add("lstm.weight_ih_l\(layer)", [4 * shape.hidden, shape.inputSize(layer: layer)])
            add("lstm.weight_hh_l\(layer)", [4 * shape.hidden, shape.hidden])
            if shape.bias {
                add("lstm.bias_ih_l\(layer)", [4 * shape.hidden])
                add("lstm.bias_hh_l\(layer)", [4 * shape.hidden])
            }
        }
        add("fc.weight", [shape.vocabulary, shape.hidden])
        add("fc.bias", [shape.vocabulary])
        self.entries = entries
        count = offset
    }

    package subscript(name: String) -> Entry? { entries.first { $0.name == name } }

    /// Where the parameters of `layer` lie: its weights and biases stand together.
    package func range(layer: Int) -> Range<Int> {
        let suffix = "_l\(layer)"
        let own = entries.filter { $0.name.hasPrefix("lstm.") && $0.name.hasSuffix(suffix) }
        return own.first!.range.lowerBound..<own.last!.range.upperBound
    }

    /// Where `fc.weight` and `fc.bias` lie: behind all layers.
    package var outputRange: Range<Int> { self["fc.weight"]!.range.lowerBound..<count }
}
