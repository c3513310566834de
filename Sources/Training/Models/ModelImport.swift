import Checkpoints
import Corpus
import Foundation
import Kernels
import LanguageModel

/// Makes a run of a model file: a run without a text, whose first checkpoint holds the model.
package enum ModelImport {
    /// - Parameters:
    ///   - prefix: what stands in front of the model's names in the file.
    ///   - vocabularyFile: says which characters the tokens are; nil where the file's metadata does.
    ///   - run: the run folder to make.
    /// - Returns: the run folder.
    package static func makeRun(
        of model: String, prefix: String, vocabularyFile: String?, run: String, software: String
    ) throws -> RunFolder {
        // An export may be named by its folder.
        let inside = URL(fileURLWithPath: model).appendingPathComponent(ModelExport.fileName)
        let source = FileManager.default.fileExists(atPath: inside.path) ? inside : URL(fileURLWithPath: model)
        var file = try ModelFile.read(source, prefix: prefix)
        let order: TokenOrder
        if let vocabularyFile {
            order = try TokenOrder(path: vocabularyFile)
        } else if let vocabulary = file.vocabulary {
            order = try TokenOrder(json: Array(vocabulary.utf8), name: "the vocabulary in \(model)")
        } else {
            throw ConfigurationError(
                "\(model): it does not say which characters its tokens are: give --vocabulary FILE, a vocabulary.json or "
                    + "a JSON list of the characters in the order of their tokens")
        }
        guard order.scalars.count == file.shape.vocabulary else {
            throw ConfigurationError(
                "\(vocabularyFile ?? model): the vocabulary has \(order.scalars.count) characters and the model "
                    + "\(file.shape.vocabulary)")
        }
        guard Kernels.isFinite(UnsafeRawBufferPointer(file.parameters.bytes)) else {
            throw ConfigurationError("\(model): it holds a number that is not finite: its training diverged")
        }
        if order.scalars != order.vocabulary.scalars { file = file.reordered(order.places) }

        let name = URL(fileURLWithPath: model).deletingPathExtension().lastPathComponent
        var configuration = RunSettings.defaults(
            software: software, run: UInt64.random(in: 1...UInt64.max).hexadecimal,
            corpus: .init(path: nil, name: name, sha256: "", characters: 0))
        configuration.model = file.shape
        configuration.initialModel = .init(
            path: source.path, parametersDigest: digest(file.parameters).hexadecimal)
        try configuration.validate()
        let folder = try RunFolder.create(requested: run, corpusName: name)
        let lock = try folder.lock()
        try AtomicFile.write(order.vocabulary.json, to: folder.vocabulary)
        try RunPreparation.writeFirstCheckpoint(
            file.parameters, configuration: configuration, vocabulary: order.vocabulary, folder: folder)
        try RunPreparation.write(configuration, to: folder)
        withExtendedLifetime(lock) {}
        return folder
    }
}
