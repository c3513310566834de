import Checkpoints
import Corpus
import Foundation
import LanguageModel
import Training

/// RUN on the command line: a run folder, a checkpoint file or an exported model.
struct ModelSource {
    let url: URL
    let shape: ModelShape
    let vocabulary: Vocabulary
    let checkpoint: Checkpoint

    /// - Throws: an error that names the path, for anything that holds no whole model.
    init(path: String, best: Bool = false, warn: (String) -> Void) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw ConfigurationError("\(path): no such run or file")
        }
        if isFolder.boolValue {
            let folder = try RunFolder.open(path)
            let store = CheckpointStore(folder: folder.checkpoints)
            guard let found = best ? store.bestVerified(warn: warn) : store.newestVerified(warn: warn) else {
                throw ConfigurationError("\(path): no whole checkpoint in it yet")
            }
            (url, checkpoint) = found
        } else {
            url = URL(fileURLWithPath: path)
            checkpoint = try Checkpoint(contentsOf: url)
        }
        shape = checkpoint.shape
        vocabulary = try Vocabulary(json: Array(checkpoint.vocabulary.utf8), name: url.path)
        guard vocabulary.count == shape.vocabulary else {
            throw ConfigurationError("\(url.path): its vocabulary does not fit its parameters")
        }
    }
}
