import Kernels
import LanguageModel

/// Finds a model's parameters among the tensors of a file, by PyTorch's names.
struct ModelTensors {
    private let file: SafetensorsFile
    /// What stands in front of the model's names, such as `model.`.
    private let prefix: String

    init(_ file: SafetensorsFile, prefix: String = "") {
        self.file = file
        self.prefix = prefix
    }

    /// The shape that the tensors' names and shapes speak of; `read` then holds every one of them against it.
    ///
    /// - Throws: ``CheckpointError``: `unsuitable` where there is no such model in the file.
    func shape() throws(CheckpointError) -> ModelShape {
        let name = prefix + Parameter.outputWeight.name
        let output = try tensor(name)
        guard output.shape.count == 2, (1...0x110000).contains(output.shape[0]), (1...65536).contains(output.shape[1])
        else { throw unsuitable("tensor \(name.quoted) has the shape \(output.shape), not [V, H]") }
        _ = try tensor(prefix + Parameter.inputWeight(layer: 0).name)
        var layers = 1
        while file.header[prefix + Parameter.inputWeight(layer: layers).name] != nil { layers += 1 }
        let shape = ModelShape(
            vocabulary: output.shape[0], hidden: output.shape[1], layers: layers,
            bias: file.header[prefix + Parameter.inputBias(layer: 0).name] != nil)
        // Bidirectional layers, projections and the like would give other results if they were passed over.
        let known = Set(ParameterLayout(shape).entries.map { prefix + $0.name })
        let parts = [prefix + "lstm.", prefix + "fc."]
        for tensor in file.header.tensors where parts.contains(where: tensor.name.hasPrefix) {
            guard known.contains(tensor.name) else {
                throw unsuitable("tensor \(tensor.name.quoted) has no place in a model of \(layers) plain LSTM layers")
            }
        }
        return shape
    }

    /// All parameters of a layout.
    func read(_ layout: ParameterLayout) throws(CheckpointError) -> FloatBuffer {
        var found: [SafetensorsHeader.Tensor] = []
        for entry in layout.entries {
            let tensor = try tensor(prefix + entry.name)
            guard tensor.shape == entry.shape else {
                throw unsuitable("tensor \(tensor.name.quoted) has the shape \(tensor.shape), not \(entry.shape)")
            }
            found.append(tensor)
        }
        let buffer = FloatBuffer(count: layout.count)
        for (entry, tensor) in zip(layout.entries, found) {
            try file.read(tensor, into: buffer, at: entry.range.lowerBound)
        }
        return buffer
    }

    private func tensor(_ name: String) throws(CheckpointError) -> SafetensorsHeader.Tensor {
        guard let tensor = file.header[name] else {
            let others = file.header.tensors.map(\.name).filter { prefix.isEmpty && $0.hasSuffix(".fc.weight") }
            let hint = others.first.map { ", unless its names begin with \(String($0.dropLast(9)).quoted): --prefix" }
            throw unsuitable("has no tensor \(name.quoted): it does not hold an LSTM language model\(hint ?? "")")
        }
        return tensor
    }

    private func unsuitable(_ message: String) -> CheckpointError {
        CheckpointError(.unsuitable, path: file.path, message)
    }
}
