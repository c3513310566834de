package import Kernels

/// How the parameters of a new model are drawn. Written as on the command line: `torch` or `uniform:R`.
package enum Initializer: Codable, Sendable, Equatable, CustomStringConvertible {
    /// As `nn.LSTM` followed by `nn.Linear` after `torch.manual_seed(seed)`: the same bits.
    case torch
    /// Every parameter from -R to R, from the same generator in the order of the layout.
    case uniform(Float)

    /// Reads `torch` or `uniform:R` with a finite `R` of at least 0; nil for anything else.
    package init?(argument: String) {
        if argument == "torch" {
            self = .torch
            return
        }
        let prefix = "uniform:"
        guard argument.hasPrefix(prefix), let bound = Float(argument.dropFirst(prefix.count)),
            bound >= 0, bound.isFinite
        else { return nil }
        self = .uniform(bound)
    }

    /// - Throws: `DecodingError` for another text than ``init(argument:)`` takes.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Self(argument: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "the initializer must be torch or uniform:R, not \(text)")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    package var description: String {
        switch self {
        case .torch: "torch"
        case .uniform(let bound): "uniform:\(bound)"
        }
    }

    /// The parameters of a new model.
    ///
    /// - Parameter forgetBias: where given, the forget gate's part of every `bias_ih` is set to it and that of
    ///   `bias_hh` to 0, after all draws, so that the other parameters do not depend on it. A model without biases
    ///   has no such part and is left as it is.
    package func initialise(
        layout: ParameterLayout, shape: ModelShape, seed: UInt64, forgetBias: Float?
    ) -> FloatBuffer {
        let buffer = FloatBuffer(count: layout.count)
        var random = TorchRandom(seed: seed)
        for entry in layout.entries {
            let bound = bound(of: entry.parameter, hidden: shape.hidden)
            for index in entry.range { buffer.base[index] = random.uniform(from: -bound, to: bound) }
        }
        guard let forgetBias else { return buffer }
        for entry in layout.entries {
            let value: Float
            switch entry.parameter {
            case .inputBias: value = forgetBias
            case .recurrentBias: value = 0
            default: continue
            }
            // Gates stand in the order i, f, g, o.
            for unit in shape.hidden..<2 * shape.hidden { buffer.base[entry.range.lowerBound + unit] = value }
        }
        return buffer
    }

    private func bound(of parameter: Parameter, hidden: Int) -> Float {
        switch self {
        case .uniform(let bound): return bound
        case .torch:
            let root = Double(hidden).squareRoot()
            // nn.Linear draws its weight with kaiming_uniform_(a: sqrt(5)), which is 1/sqrt(fan in) but for the last
            // bits of these roundings.
            guard parameter == .outputWeight else { return Float(1 / root) }
            let slope = (5.0).squareRoot()
            let gain = (2 / (1 + slope * slope)).squareRoot()
            return Float((3.0).squareRoot() * (gain / root))
        }
    }
}
