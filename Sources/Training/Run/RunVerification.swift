import Checkpoints
import Corpus
import Foundation

/// Holds every digest of a run folder, a checkpoint or a model file against its bytes.
package struct RunVerification: Encodable, Sendable, Equatable {
    /// A file that was verified.
    package struct File: Encodable, Sendable, Equatable {
        package var path: String
        /// nil where all is well.
        package var fault: String?
    }

    package private(set) var files: [File] = []

    package var faults: [File] { files.filter { $0.fault != nil } }

    /// - Throws: ``ConfigurationError`` or ``RunFolderError`` where there is nothing to verify; what is found to be wrong
    ///   stands in ``files``.
    package init(path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw ConfigurationError("\(path): no such run or file")
        }
        let exported = URL(fileURLWithPath: path).appendingPathComponent(ModelExport.fileName)
        if !isFolder.boolValue {
            check(URL(fileURLWithPath: path), Self.fault)
        } else if FileManager.default.fileExists(atPath: exported.path) {
            check(exported, Self.fault)
        } else {
            try check(RunFolder.open(path))
        }
    }

    private mutating func check(_ folder: RunFolder) {
        var digests: [UInt64: UInt64] = [:]
        MetricsReader.read(folder.metrics) { record, _ in digests[record.step] = record.digest }
        let vocabulary = try? TextSource(path: folder.vocabulary.path, limit: Vocabulary.largestFile)
        check(folder.configuration) { url in _ = try RunPreparation.configuration(at: url) }
        for (step, url) in CheckpointStore(folder: folder.checkpoints).list() {
            check(url) { url in
                let checkpoint = try Checkpoint(contentsOf: url)
                if let digest = digests[step], digest != checkpoint.parametersDigest {
                    throw ConfigurationError(
                        "its parameters have the digest \(checkpoint.parametersDigest.hexadecimal), and "
                            + "\(folder.metrics.lastPathComponent) says \(digest.hexadecimal) of this step")
                }
                guard vocabulary?.withBytes({ $0.elementsEqual(checkpoint.vocabulary.utf8) }) == true else {
                    throw ConfigurationError("its vocabulary is not that of \(folder.vocabulary.lastPathComponent)")
                }
            }
        }
    }

    private mutating func check(_ url: URL, _ body: (URL) throws -> Void) {
        do {
            try body(url)
            files.append(File(path: url.path, fault: nil))
        } catch {
            let text = "\(error)"
            let prefix = "\(url.path): "
            files.append(
                File(path: url.path, fault: text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text))
        }
    }

    private static func fault(_ url: URL) throws {
        if try Checkpoint.isOne(url) {
            _ = try Checkpoint(contentsOf: url)
        } else {
            guard try ModelFile.isSealed(url) else {
                throw ConfigurationError("holds no digest of its bytes: another program wrote it")
            }
            _ = try ModelFile.read(url)
        }
    }
}
