import Checkpoints
import Corpus
import Crypto
package import Foundation
import Kernels
import LanguageModel

/// From flags, files and checkpoints to a job that can go on.
package enum RunPreparation {
    /// What a command was asked to train. Files and folders are paths as the user writes them.
    package struct Request: Sendable {
        /// nil for the text that the configuration or the run names, else for the demo corpus.
        package var corpus: String?
        package var settings: RunSettings
        /// The folder; nil for a new one in `runs`, or for the newest there on a resume.
        package var run: String?
        package var resume: Bool
        package var configurationFile: String?
        package var vocabularyFile: String?
        /// RUN whose model a new run starts from.
        package var initialModel: String?
        package var software: String

        package init(
            corpus: String?, settings: RunSettings, run: String?, resume: Bool, configurationFile: String?,
            vocabularyFile: String?, initialModel: String?, software: String
        ) {
            self.corpus = corpus
            self.settings = settings
            self.run = run
            self.resume = resume
            self.configurationFile = configurationFile
            self.vocabularyFile = vocabularyFile
            self.initialModel = initialModel
            self.software = software
        }
    }

    /// A resume finds nothing left to do: no failure, so that whatever starts services again leaves the run alone.
    package struct AlreadyFinished: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// - Parameter warn: told of damaged checkpoints that were passed over.
    /// - Returns: the job, and the lock on its folder, to be held as long as the run goes.
    /// - Throws: ``AlreadyFinished``; ``UsageError`` for flags that no text would make right; ``ConfigurationError`` and
    ///   errors of the files for what cannot be trained.
    package static func prepare(_ request: Request, warn: (String) -> Void) throws -> (job: TrainingJob, lock: RunLock)
    {
        try request.resume ? resumed(request, warn: warn) : fresh(request, warn: warn)
    }

    /// - Throws: ``CorpusError`` for what is missing or cannot be read, ``ConfigurationError`` for what is no regular file,
    ///   larger than 1 MiB or not a configuration.
    package static func configuration(at url: URL) throws -> RunConfiguration {
        let source: TextSource
        do {
            source = try TextSource(path: url.path, limit: 1 << 20)
        } catch {
            switch error {
            case .missing, .unreadable: throw error
            default:
                throw ConfigurationError(
                    "\(url.path): cannot be read as a run.json: that is a regular file of 1 MiB at most")
            }
        }
        do {
            let configuration = try JSONDecoder().decode(RunConfiguration.self, from: source.withBytes { Data($0) })
            try configuration.validate()
            return configuration
        } catch let error as ConfigurationError {
            throw ConfigurationError("\(url.path): \(error.description)")
        } catch {
            throw ConfigurationError("\(url.path): not a run.json of lockstep (\(shortReason(error)))")
        }
    }

    private static func shortReason(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        return switch error {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(context.codingPath.map(\.stringValue).joined(separator: ".")) has the wrong type"
        case .dataCorrupted(let context): context.debugDescription
        @unknown default: "unreadable"
        }
    }

    static func load(path: String?, vocabulary: Vocabulary?, demo: RunConfiguration.Corpus? = nil) throws -> (
        EncodedCorpus, RunConfiguration.Corpus
    ) {
        let encoded: EncodedCorpus
        var fingerprint = RunConfiguration.Corpus(path: nil, name: DemoCorpus.name, sha256: "", characters: 0)
        if let path {
            encoded = try EncodedCorpus(path: path, vocabulary: vocabulary)
            fingerprint.path = URL(fileURLWithPath: path).path
            fingerprint.name = name(ofCorpus: path)
        } else {
            let seed = demo?.demoSeed ?? 0
            let characters = demo?.characters ?? DemoCorpus.defaultCharacters
            guard DemoCorpus.characterRange.contains(characters) else {
                throw ConfigurationError(
                    "the built-in text can have from \(DemoCorpus.characterRange.lowerBound) to "
                        + "\(DemoCorpus.characterRange.upperBound) characters, not \(characters)")
            }
            encoded = try DemoCorpus(characters: characters, seed: seed).encoded(vocabulary: vocabulary)
            fingerprint.demoSeed = seed
        }
        guard encoded.vocabulary.count >= 2 else {
            throw ConfigurationError(
                "\(encoded.source.name): its vocabulary has a single character, which leaves nothing to learn: name "
                    + "another text")
        }
        fingerprint.characters = encoded.count
        fingerprint.sha256 = encoded.source.withBytes { bytes in
            var hash = SHA256()
            hash.update(bufferPointer: bytes)
            return hash.finalize().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
        return (encoded, fingerprint)
    }

    static func cut(_ corpus: EncodedCorpus, _ configuration: RunConfiguration) throws -> (
        BatchedCorpus, BatchedCorpus?
    ) {
        if configuration.validationSplit == .columns, configuration.validation > 0 {
            let whole = try BatchedCorpus(corpus: corpus, batch: configuration.batch, window: configuration.window)
            return try whole.split(holdingOut: configuration.validation)
        }
        let split = try ValidationSplit(characters: corpus.count, fraction: configuration.validation)
        let batches = try BatchedCorpus(
            corpus: corpus, range: split.training, batch: configuration.batch, window: configuration.window,
            part: configuration.validation > 0 ? "\(corpus.source.name) without its validation tail" : nil)
        guard !split.validation.isEmpty else { return (batches, nil) }
        let validation = Evaluation.batches(
            corpus, range: split.validation, batch: configuration.batch, window: configuration.window)
        guard let validation else {
            throw ConfigurationError(
                "the validation tail has \(split.validation.count) characters, fewer than --window "
                    + "\(configuration.window): raise --validation, or give 0 for none")
        }
        return (batches, validation)
    }

    static func emptyCarries(_ configuration: RunConfiguration) -> CarryStore {
        CarryStore(
            shards: configuration.shards, shardFloats: configuration.carryFloats)
    }

    static func entropyBound(_ configuration: RunConfiguration) -> Double? {
        configuration.corpus.demoSeed == nil ? nil : DemoCorpus.entropyPerCharacter
    }

    /// The file's name without its ending.
    static func name(ofCorpus path: String) -> String {
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        return name.isEmpty || name == "/" ? "run" : name
    }
}
