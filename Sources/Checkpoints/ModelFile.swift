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
    /// - Throws: ``CheckpointError``: `unreadable`, `malformed`, `damaged`, or `unsuitable` where it holds no such model.
    package static func read(_ url: URL) throws(CheckpointError) -> ModelFile {
        let file = try SafetensorsFile(url)
        _ = try SafetensorsWriter.verify(file)
        let tensors = ModelTensors(file)
        let shape = try tensors.shape()
        let parameters = try tensors.read(ParameterLayout(shape), prefix: "")
        return ModelFile(shape: shape, parameters: parameters, vocabulary: file.header.metadata[vocabularyKey])
    }
}
