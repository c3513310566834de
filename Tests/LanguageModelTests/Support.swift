import LanguageModel
import Testing

/// Expects numbers to agree to `tolerance`, absolutely below 1 and relatively above.
func expectClose<Scalar: BinaryFloatingPoint>(
    _ values: [Scalar], _ wanted: [Double], _ tolerance: Double, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard values.count == wanted.count else {
        Issue.record("\(what): \(values.count) numbers, not \(wanted.count)", sourceLocation: sourceLocation)
        return
    }
    var worst = 0.0
    var place = 0
    for (index, (value, want)) in zip(values, wanted).enumerated() {
        let difference = abs(Double(value) - want) / max(1, abs(want))
        if !(difference <= worst) {
            worst = difference
            place = index
            if difference.isNaN { break }
        }
    }
    #expect(
        worst <= tolerance, "\(what): off by \(worst) at \(place), \(values.isEmpty ? 0 : Double(values[place]))",
        sourceLocation: sourceLocation)
}

func expectClose<Scalar: BinaryFloatingPoint>(
    _ value: Scalar, _ wanted: Double, _ tolerance: Double, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expectClose([value], [wanted], tolerance, what, sourceLocation: sourceLocation)
}

extension ModelShape {
    /// From the `config` of a fixture.
    init(_ config: JSON) throws {
        try self.init(
            vocabulary: config["V"].int, hidden: config["H"].int, layers: config["layers"].int,
            bias: config[optional: "bias"]?.bool ?? true)
    }
}

extension ParameterLayout {
    /// The tensors of a fixture, one after the other in the order of the layout.
    func flatten<Scalar: LosslessStringConvertible>(_ tensors: JSON, as: Scalar.Type = Scalar.self) throws -> [Scalar] {
        try entries.flatMap { try tensors[$0.name].scalars(as: Scalar.self) }
    }
}

/// From PyTorch's pair of `[layers, B, H]` to `[B][layers][h, c][H]`.
func carry<Scalar>(hidden: [Scalar], cell: [Scalar], rows: Int, shape: ModelShape) -> [Scalar] {
    (0..<rows).flatMap { row in
        (0..<shape.layers).flatMap { layer in
            let start = (layer * rows + row) * shape.hidden
            return hidden[start..<start + shape.hidden] + cell[start..<start + shape.hidden]
        }
    }
}

/// The way back to PyTorch's pair.
func pair<Scalar>(carry: [Scalar], rows: Int, shape: ModelShape) -> (hidden: [Scalar], cell: [Scalar]) {
    var hidden: [Scalar] = []
    var cell: [Scalar] = []
    for layer in 0..<shape.layers {
        for row in 0..<rows {
            let start = (row * shape.layers + layer) * 2 * shape.hidden
            hidden += carry[start..<start + shape.hidden]
            cell += carry[start + shape.hidden..<start + 2 * shape.hidden]
        }
    }
    return (hidden, cell)
}

extension OptimizerConfiguration {
    /// From the `optimizer` and `hyper` of a fixture.
    init(name: String, hyper: JSON) throws {
        let kind = name.prefix { $0 != "_" }
        guard let known = Kind(rawValue: String(kind)) else {
            throw JSON.Missing(description: "unknown optimizer \(name)")
        }
        self.init(kind: known, learningRate: try hyper["lr"].double)
        if let betas = try hyper[optional: "betas"]?.doubles { (beta1, beta2) = (betas[0], betas[1]) }
        if let value = try hyper[optional: "eps"]?.double { epsilon = value }
        if let value = try hyper[optional: "alpha"]?.double { alpha = value }
        if let value = try hyper[optional: "momentum"]?.double { momentum = value }
        if let value = try hyper[optional: "dampening"]?.double { dampening = value }
        if let value = try hyper[optional: "nesterov"]?.bool { nesterov = value }
        if let value = try hyper[optional: "centered"]?.bool { centered = value }
        if let value = try hyper[optional: "amsgrad"]?.bool { amsgrad = value }
        if let value = try hyper[optional: "weight_decay"]?.double { weightDecay = value }
    }
}
