package import Foundation
package import Kernels
package import LanguageModel

/// A model alone: PyTorch's names, F32, `format: pt`, and the vocabulary in the metadata. It loads into
/// `torch.nn.LSTM` and `torch.nn.Linear` with `load_state_dict`.
package struct ModelFile: Sendable {
    static let vocabularyKey = "vocabulary"

    package var shape: ModelShape
    package var parameters: FloatBuffer
    /// As JSON; nil where the file has none, such as one that PyTorch saved.
    package var vocabulary: String?

    package init(shape: ModelShape, parameters: FloatBuffer, vocabulary: String?) {
        self.shape = shape
        self.parameters = parameters
        self.vocabulary = vocabulary
    }

    /// Writes the file whole or not at all.
    ///
    /// - Throws: ``CheckpointError``; what stood under the name before is left as it was.
    package func write(to url: URL) throws(CheckpointError) {
        let layout = ParameterLayout(shape)
        precondition(parameters.count == layout.count)
        var metadata = ["format": "pt"]
        metadata[Self.vocabularyKey] = vocabulary
        let tensors = layout.entries.map {
            SafetensorsWriter.Tensor(name: $0.name, shape: $0.shape, buffer: parameters, range: $0.range)
        }
        try SafetensorsWriter.write(tensors, metadata: metadata, to: url)
    }

    /// Reads the model of an exported file, of a checkpoint, or of a file by another program under PyTorch's names.
    /// A file that was written here is held against the digest of its bytes.
    ///
    /// - Parameter prefix: what stands in front of the names in the file, such as `model.`; the last dot may be left out.
    /// - Throws: ``CheckpointError``: `unreadable`, `malformed`, `damaged`, or `unsuitable` where it holds no such model.
    package static func read(_ url: URL, prefix: String = "") throws(CheckpointError) -> ModelFile {
        let file = try SafetensorsFile(url)
        _ = try SafetensorsWriter.verify(file)
        let isShort =
            !prefix.isEmpty && file.header[prefix + Parameter.outputWeight.name] == nil && !prefix.hasSuffix(".")
        let tensors = ModelTensors(file, prefix: isShort ? prefix + "." : prefix)
        let shape = try tensors.shape()
        let parameters = try tensors.read(ParameterLayout(shape))
        return ModelFile(shape: shape, parameters: parameters, vocabulary: file.header.metadata[vocabularyKey])
    }

    /// Whether a file holds the digest of its bytes, as those that were written here do.
    ///
    /// - Throws: ``CheckpointError``: `unreadable` or `malformed`.
    package static func isSealed(_ url: URL) throws(CheckpointError) -> Bool {
        try SafetensorsFile(url).header.metadata[SafetensorsWriter.sealKey] != nil
    }

    /// The same model under other tokens.
    ///
    /// - Parameter places: of each new token the one that it was, all of them once.
    package func reordered(_ places: [Int]) -> ModelFile {
        precondition(places.sorted() == Array(0..<shape.vocabulary))
        let layout = ParameterLayout(shape)
        let result = parameters.copy()
        let input = layout[.inputWeight(layer: 0)].range.lowerBound
        let weight = layout[.outputWeight].range.lowerBound
        let bias = layout[.outputBias].range.lowerBound
        for (token, place) in places.enumerated() {
            for unit in 0..<4 * shape.hidden {
                let row = input + unit * shape.vocabulary
                result.base[row + token] = parameters.base[row + place]
            }
            for unit in 0..<shape.hidden {
                result.base[weight + token * shape.hidden + unit] =
                    parameters.base[weight + place * shape.hidden + unit]
            }
            result.base[bias + token] = parameters.base[bias + place]
        }
        return ModelFile(shape: shape, parameters: result, vocabulary: vocabulary)
    }
}
