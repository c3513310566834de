package import Checkpoints
package import Corpus
package import Foundation
package import Kernels
package import LanguageModel

/// RUN on the command line: a run folder, a checkpoint file, or an exported model or the folder it stands in.
package struct ModelSource {
    /// The file that was read.
    package let url: URL
    package let shape: ModelShape
    package let parameters: FloatBuffer
    package let vocabulary: Vocabulary
    /// nil for an exported model.
    package let checkpoint: Checkpoint?

    /// Reads and verifies a model.
    ///
    /// - Parameters:
    ///   - best: of a run, the checkpoint with the lowest validation loss, not the newest.
    ///   - warn: told of damaged checkpoints that were passed over.
    /// - Throws: an error that names the path, for anything that holds no whole model.
    package init(path: String, best: Bool = false, warn: (String) -> Void) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw ConfigurationError("\(path): no such run or file")
        }
        var url = URL(fileURLWithPath: path)
        let exported = url.appendingPathComponent(ModelExport.fileName)
        if isFolder.boolValue, FileManager.default.fileExists(atPath: exported.path) { url = exported }
        if isFolder.boolValue, url != exported {
            let store = CheckpointStore(folder: try RunFolder.open(path).checkpoints)
            guard let found = best ? store.bestVerified(warn: warn) : store.newestVerified(warn: warn) else {
                throw ConfigurationError(
                    best
                        ? "\(path): no whole checkpoint with a validation loss in it: leave out --best for the newest"
                        : "\(path): no whole checkpoint in it yet")
            }
            try self.init(found.url, found.checkpoint)
        } else {
            if best { throw ConfigurationError("\(path): --best chooses among the checkpoints of a run folder") }
            guard try Checkpoint.isOne(url) else {
                try self.init(exported: url)
                return
            }
            try self.init(url, Checkpoint(contentsOf: url))
        }
    }

    private init(_ url: URL, _ checkpoint: Checkpoint) throws {
        try self.init(
            url, checkpoint.shape, checkpoint.parameters, vocabulary: checkpoint.vocabulary, checkpoint: checkpoint)
    }

    private init(exported url: URL) throws {
        let file = try ModelFile.read(url)
        guard let vocabulary = file.vocabulary else {
            throw ConfigurationError(
                "\(url.path): it does not say which characters its tokens are: make a run of it with lockstep import "
                    + "and --vocabulary FILE")
        }
        try self.init(url, file.shape, file.parameters, vocabulary: vocabulary, checkpoint: nil)
    }

    private init(
        _ url: URL, _ shape: ModelShape, _ parameters: FloatBuffer, vocabulary: String, checkpoint: Checkpoint?
    ) throws {
        self.url = url
        self.shape = shape
        self.parameters = parameters
        self.checkpoint = checkpoint
        self.vocabulary = try Vocabulary(json: Array(vocabulary.utf8), name: url.path)
        guard self.vocabulary.count == shape.vocabulary else {
            throw ConfigurationError(
                "\(url.path): its vocabulary has \(self.vocabulary.count) characters and its model "
                    + "\(shape.vocabulary)")
        }
    }

    /// What the run was trained with; nil for an exported model.
    ///
    /// - Throws: ``ConfigurationError`` where the checkpoint states what cannot be: a digest tells of damage, not of who
    ///   wrote it.
    package func configuration() throws -> RunConfiguration? {
        guard let checkpoint else { return nil }
        let configuration: RunConfiguration
        do {
            configuration = try JSONDecoder().decode(
                RunConfiguration.self, from: Data(checkpoint.configuration.utf8))
        } catch {
            throw ConfigurationError("\(url.path): its configuration cannot be read by this version of lockstep")
        }
        do { try configuration.validate() } catch {
            throw ConfigurationError(
                "\(url.path): its configuration was changed by another program: \(error.description); take another "
                    + "checkpoint")
        }
        guard checkpoint.step <= RunConfiguration.maximumSteps, checkpoint.epoch <= checkpoint.step else {
            throw ConfigurationError(
                "\(url.path): it states step \(checkpoint.step) and epoch \(checkpoint.epoch), which cannot be; take "
                    + "another checkpoint")
        }
        return configuration
    }
}
