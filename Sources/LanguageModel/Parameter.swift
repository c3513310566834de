/// One tensor of a model's parameters, row-major. Gates stand in the order i, f, g, o.
package enum Parameter: Hashable, Sendable {
    /// `[4H, D]`.
    case inputWeight(layer: Int)
    /// `[4H, H]`.
    case recurrentWeight(layer: Int)
    /// `[4H]`; it and the next only in a model with biases.
    case inputBias(layer: Int)
    /// `[4H]`.
    case recurrentBias(layer: Int)
    /// `[V, H]`.
    case outputWeight
    /// `[V]`.
    case outputBias

    /// PyTorch's, such as `lstm.weight_ih_l0`.
    package var name: String {
        switch self {
        case .inputWeight(let layer): "lstm.weight_ih_l\(layer)"
        case .recurrentWeight(let layer): "lstm.weight_hh_l\(layer)"
        case .inputBias(let layer): "lstm.bias_ih_l\(layer)"
        case .recurrentBias(let layer): "lstm.bias_hh_l\(layer)"
        case .outputWeight: "fc.weight"
        case .outputBias: "fc.bias"
        }
    }

    /// nil for those of the output layer.
    var layer: Int? {
        switch self {
        case .inputWeight(let layer), .recurrentWeight(let layer), .inputBias(let layer), .recurrentBias(let layer):
            layer
        case .outputWeight, .outputBias: nil
        }
    }
}
