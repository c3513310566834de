import Checkpoints
import Corpus
package import Foundation
import LanguageModel

/// Writes a model for PyTorch and Hugging Face: the safetensors file, and `config.json` beside it.
package enum ModelExport {
    /// The name that Hugging Face's libraries look for.
    package static let fileName = "model.safetensors"
    private static let configurationName = "config.json"
    private static let modelType = "char-lstm"

    /// What a reader needs beside the tensors, in Hugging Face's names where it has one.
    private struct Configuration: Codable {
        var architectures = ["CharLSTM"]
        var modelType = ModelExport.modelType
        var vocabSize: Int
        var hiddenSize: Int
        var numHiddenLayers: Int
        var bias: Bool
        var dropout: Double
        var torchDtype = "float32"
    }

    /// - Parameters:
    ///   - output: a file, or a folder: one that is there, or a path that ends with a slash.
    /// - Returns: the model file.
    /// - Throws: an error with the path, where something stands there that is not an exported model, or it cannot be
    ///   written.
    package static func write(_ source: ModelSource, to output: String) throws -> URL {
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: output, isDirectory: &isFolder)
        let toFolder = exists ? isFolder.boolValue : output.hasSuffix("/")
        let url = URL(fileURLWithPath: output, isDirectory: toFolder)
        let file = toFolder ? url.appendingPathComponent(fileName) : url
        let folder = file.deletingLastPathComponent()
        let configurationFile = folder.appendingPathComponent(configurationName)
        if FileManager.default.fileExists(atPath: file.path), (try? SafetensorsFile(file)) == nil {
            throw ConfigurationError("\(file.path): a file that is no model stands there: choose another name")
        }
        if (try? Checkpoint.isOne(file)) == true {
            throw ConfigurationError("\(file.path): a run's checkpoint stands there: choose another name")
        }
        if FileManager.default.fileExists(atPath: configurationFile.path), !isExported(configurationFile) {
            throw ConfigurationError(
                "\(configurationFile.path): stands there and is of another model: export to a folder of its own")
        }
        // An imported model that has not been trained here has no dropout that is known of.
        let configuration = try source.configuration().flatMap { $0.lacksText ? nil : $0 }
        if let (path, reason) = makeFolder(folder.path, mode: 0o777) {
            throw ConfigurationError("\(path): the folder cannot be made: \(reason); choose another")
        }
        try ModelFile(
            shape: source.shape, parameters: source.parameters,
            vocabulary: String(decoding: source.vocabulary.json, as: UTF8.self)
        ).write(to: file)
        let fields = Configuration(
            vocabSize: source.shape.vocabulary, hiddenSize: source.shape.hidden, numHiddenLayers: source.shape.layers,
            bias: source.shape.bias, dropout: configuration?.dropout ?? 0)
        do {
            try encoder.encode(fields).write(to: configurationFile, options: .atomic)
        } catch {
            throw ConfigurationError(
                "\(configurationFile.path): cannot be written: check the folder and the free space")
        }
        return file
    }

    /// Whether a `config.json` is one that an export wrote.
    private static func isExported(_ configuration: URL) -> Bool {
        guard let source = try? TextSource(path: configuration.path, limit: 1 << 20) else { return false }
        let fields = try? decoder.decode(Configuration.self, from: source.withBytes { Data($0) })
        return fields?.modelType == modelType
    }

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    private static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }
}
