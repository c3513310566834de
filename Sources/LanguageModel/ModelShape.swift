/// The shape of a character model: `V` characters in, `layers` stacked LSTM layers of `hidden` units, a linear layer
/// to `V` logits.
package struct ModelShape: Codable, Sendable, Equatable {
    /// `V`.
    package var vocabulary: Int
    /// `H`.
    package var hidden: Int
    /// `L`.
    package var layers: Int
    /// Whether the LSTM layers have biases, two each; the output layer always has one.
    package var bias: Bool

    package init(vocabulary: Int, hidden: Int, layers: Int, bias: Bool = true) {
        self.vocabulary = vocabulary
        self.hidden = hidden
        self.layers = layers
        self.bias = bias
    }

    /// `D`, the input size of a layer: the vocabulary for layer 0, the hidden size above it.
    package func inputSize(layer: Int) -> Int { layer == 0 ? vocabulary : hidden }

    /// Floats of carry for one row: `[layers][h, c][hidden]`.
    package var carryCount: Int { layers * 2 * hidden }
}
