import Checkpoints
import Corpus
import Crypto
package import Foundation
import Kernels
import LanguageModel

/// From flags, files and checkpoints to a job that can go on.
package enum RunPreparation {
    package struct Request: Sendable {
        package var corpus: String?
        package var settings: RunSettings
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
        try request.resume ? resumed(request, warn: warn) : fresh(request)
    }

    // MARK: A new run

    private static func fresh(_ request: Request) throws -> (TrainingJob, RunLock) {
        let model = try request.initialModel.map { path in
            // A damaged checkpoint of another run is no reason to start from an older one without a word.
            try ModelSource(path: path) { _ in }
        }
        let vocabulary = try request.vocabularyFile.map { try Vocabulary(path: $0) }
        if let model, let vocabulary, vocabulary != model.vocabulary {
            throw ConfigurationError(
                "--vocabulary \(request.vocabularyFile!) is not that of --initialize-from \(request.initialModel!): leave "
                    + "it out")
        }
        let configured = try request.configurationFile.map { try Self.configuration(at: URL(fileURLWithPath: $0)) }
        let (corpus, fingerprint) = try text(of: request, configured, vocabulary: model?.vocabulary ?? vocabulary)
        let run = UInt64.random(in: 1...UInt64.max).hexadecimal
        var base = configured ?? RunSettings.defaults(software: request.software, run: run, corpus: fingerprint)
        base.run = run
        base.corpus = fingerprint
        base.software = request.software
        base.initialModel = nil
        if let model {
            base.model = model.shape
            base.initialModel = .init(
                path: model.url.path, parametersDigest: digest(model.parameters).hexadecimal)
        }
        var configuration = try request.settings.applied(to: base)
        configuration.model.vocabulary = corpus.vocabulary.count
        if let model { try check(configuration, begins: model.shape, from: model.url.path, request.settings) }
        let (batches, validation) = try fit(
            &configuration, to: corpus, request.settings,
            baseSteps: configured.flatMap { $0.lacksText ? nil : $0.totalSteps })

        let folder = try RunFolder.create(requested: request.run, corpusName: fingerprint.name)
        let lock = try folder.lock()
        try corpus.vocabulary.write(to: folder.vocabulary.path)
        if let model {
            try writeFirstCheckpoint(
                model.parameters, configuration: configuration, vocabulary: corpus.vocabulary, folder: folder)
        }
        try write(configuration, to: folder)
        let parameters = model?.parameters ?? drawn(configuration)
        var job = TrainingJob(
            configuration: configuration, vocabulary: corpus.vocabulary, batches: batches, validation: validation,
            folder: folder, replica: Replica(configuration: configuration, parameters: parameters),
            carries: emptyCarries(configuration), step: 0, entropyBound: entropyBound(configuration))
        job.term = lock.term
        return (job, lock)
    }

    /// The text that is named, else that of `--config`, else the demo text.
    ///
    /// - Throws: ``ConfigurationError`` where the text of `--config` is gone or changed.
    private static func text(
        of request: Request, _ configured: RunConfiguration?, vocabulary: Vocabulary?
    ) throws -> (EncodedCorpus, RunConfiguration.Corpus) {
        guard request.corpus == nil, let configured, let file = request.configurationFile else {
            return try load(path: request.corpus, vocabulary: vocabulary)
        }
        guard !configured.lacksText else {
            throw ConfigurationError(
                "--config \(file): of an imported model that no text was given to yet: name one, as in lockstep train TEXT "
                    + "--config \(file)")
        }
        let text: (corpus: EncodedCorpus, fingerprint: RunConfiguration.Corpus)
        do {
            text = try load(path: configured.corpus.path, vocabulary: vocabulary, demo: configured.corpus)
        } catch {
            throw ConfigurationError("--config \(file): \(error); name a text to train on another one")
        }
        guard text.fingerprint.sha256 == configured.corpus.sha256 else {
            throw ConfigurationError(
                "--config \(file): \(text.corpus.source.name) is not its text any more (its SHA-256 is "
                    + "\(text.fingerprint.sha256.prefix(12))..., not \(configured.corpus.sha256.prefix(12))...): name it to "
                    + "train on it as it is")
        }
        return text
    }

    /// - Throws: ``ConfigurationError`` where flags contradict the model that the run begins from; ``UsageError`` for
    ///   those that say how to draw one.
    private static func check(
        _ configuration: RunConfiguration, begins shape: ModelShape, from path: String, _ settings: RunSettings
    ) throws {
        guard configuration.model == shape else {
            throw ConfigurationError(
                "--hidden, --layers and --no-bias contradict the model in \(path), which has \(shape.layers) layers of "
                    + "\(shape.hidden) units, \(shape.bias ? "with" : "without") biases: leave them out")
        }
        guard settings.initializer == nil, settings.forgetBias == nil else {
            throw UsageError(
                "--initializer and --forget-bias say nothing where a run begins from the model in \(path): leave them out"
            )
        }
    }

    /// - Throws: ``UsageError`` for what cannot be worked with: the flags are to blame, as what they were laid over was
    ///   validated before.
    private static func checkFlags(_ configuration: RunConfiguration) throws(UsageError) {
        do { try configuration.validate() } catch { throw UsageError(error.description) }
    }

    /// Cuts the text, and fixes the length of the run by it.
    private static func fit(
        _ configuration: inout RunConfiguration, to corpus: EncodedCorpus, _ settings: RunSettings, baseSteps: UInt64?
    ) throws -> (BatchedCorpus, BatchedCorpus?) {
        configuration.stepsPerEpoch = 1
        configuration.totalSteps = 1
        try checkFlags(configuration)
        let (batches, validation) = try cut(corpus, configuration)
        configuration.stepsPerEpoch = UInt64(batches.windows)
        configuration.totalSteps = try settings.totalSteps(
            stepsPerEpoch: configuration.stepsPerEpoch, base: baseSteps)
        try checkFlags(configuration)
        return (batches, validation)
    }

    /// Writes `run.json`: with it the folder is a run's.
    ///
    /// - Throws: ``ConfigurationError`` where it cannot be written.
    static func write(_ configuration: RunConfiguration, to folder: RunFolder) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let data = try encoder.encode(configuration)
        do { try data.write(to: folder.configuration, options: .atomic) } catch {
            throw ConfigurationError(
                "\(folder.configuration.path): cannot be written: check the folder and the free space")
        }
    }

    /// A run that does not draw its parameters begins from a checkpoint of step 0.
    static func writeFirstCheckpoint(
        _ parameters: FloatBuffer, configuration: RunConfiguration, vocabulary: Vocabulary, folder: RunFolder
    ) throws {
        let slots = configuration.optimizer.slotNames.map { _ in FloatBuffer(count: configuration.layout.count) }
        let state = CheckpointState(
            step: 0, parameters: parameters, slots: slots, carry: emptyCarries(configuration).committed)
        let checkpoint = try CheckpointMapping.checkpoint(
            state, configuration: configuration, vocabulary: vocabulary, validationLoss: nil, best: nil)
        try CheckpointStore(folder: folder.checkpoints).write(checkpoint, keep: configuration.upkeep.keep)
    }

    private static func drawn(_ configuration: RunConfiguration) -> FloatBuffer {
        configuration.initializer.initialise(
            layout: configuration.layout, shape: configuration.model, seed: configuration.seed,
            forgetBias: configuration.forgetBias)
    }

    // MARK: An imported model that is given a text

    private static func adopted(
        _ request: Request, _ base: RunConfiguration, _ folder: RunFolder, _ lock: RunLock
    ) throws -> (TrainingJob, RunLock) {
        guard let path = request.corpus else {
            throw ConfigurationError(
                "\(folder.url.path): an imported model that no text was given to yet: name one, as in lockstep train "
                    + "TEXT --run \(request.run ?? folder.url.path) --resume")
        }
        let vocabulary = try Vocabulary(path: folder.vocabulary.path)
        guard let (url, checkpoint) = CheckpointStore(folder: folder.checkpoints).newestVerified(warn: { _ in }) else {
            throw ConfigurationError("\(folder.url.path): its model is gone or damaged: import it again")
        }
        let (corpus, fingerprint) = try load(path: path, vocabulary: vocabulary)
        var configuration = try request.settings.applied(to: base)
        configuration.corpus = fingerprint
        try check(configuration, begins: checkpoint.shape, from: url.path, request.settings)
        let (batches, validation) = try fit(&configuration, to: corpus, request.settings, baseSteps: nil)
        try writeFirstCheckpoint(
            checkpoint.parameters, configuration: configuration, vocabulary: vocabulary, folder: folder)
        try write(configuration, to: folder)
        var job = TrainingJob(
            configuration: configuration, vocabulary: vocabulary, batches: batches, validation: validation,
            folder: folder, replica: Replica(configuration: configuration, parameters: checkpoint.parameters),
            carries: emptyCarries(configuration), step: 0, entropyBound: nil)
        job.term = lock.term
        return (job, lock)
    }

    // MARK: A run that goes on

    private static func resumed(_ request: Request, warn: (String) -> Void) throws -> (TrainingJob, RunLock) {
        if let path = request.configurationFile {
            throw UsageError(
                "--config \(path) and --resume contradict each other: a resume takes its run's own")
        }
        if let path = request.initialModel {
            throw UsageError(
                "--initialize-from \(path) and --resume contradict each other: a run that goes on has a model")
        }
        let folder: RunFolder
        if let run = request.run {
            folder = try RunFolder.open(run)
        } else if let corpus = request.corpus {
            folder = try RunFolder.open("runs/\(name(ofCorpus: corpus))")
        } else {
            folder = try RunFolder.newest()
        }
        let lock = try folder.lock()
        let base = try configuration(at: folder.configuration)
        if base.lacksText { return try adopted(request, base, folder, lock) }
        var configuration = try request.settings.applied(to: base)
        // The default of --shards follows --batch, which a resume may repeat.
        if request.settings.shards == nil { configuration.shards = base.shards }
        configuration.totalSteps = try request.settings.totalSteps(
            stepsPerEpoch: base.stepsPerEpoch, base: base.totalSteps)
        let differences = configuration.differences(from: base)
        guard differences.isEmpty else {
            throw ConfigurationError("cannot resume \(folder.url.path): " + differences.joined(separator: "; "))
        }
        try checkFlags(configuration)
        let vocabulary = try Vocabulary(path: folder.vocabulary.path)
        let (corpus, fingerprint) = try load(
            path: request.corpus ?? base.corpus.path, vocabulary: vocabulary, demo: base.corpus)
        guard fingerprint.sha256 == base.corpus.sha256 else {
            throw ConfigurationError(
                "cannot resume \(folder.url.path): \(fingerprint.name) is not the text of this run (its SHA-256 is "
                    + "\(fingerprint.sha256.prefix(12))..., the run's \(base.corpus.sha256.prefix(12))...)")
        }
        let (batches, validation) = try cut(corpus, configuration)
        guard UInt64(batches.windows) == configuration.stepsPerEpoch else {
            throw ConfigurationError("\(folder.configuration.path) does not fit the text: it was changed by hand")
        }
        var job = TrainingJob(
            configuration: configuration, vocabulary: vocabulary, batches: batches, validation: validation,
            folder: folder, replica: Replica(configuration: configuration), carries: emptyCarries(configuration),
            step: 0, entropyBound: entropyBound(configuration))
        if let (url, checkpoint) = CheckpointStore(folder: folder.checkpoints).newestVerified(warn: warn) {
            (job.replica, job.carries) = try CheckpointMapping.restore(
                checkpoint, of: configuration, from: url.path)
            job.step = checkpoint.step
            job.validations = ValidationHistory(best: checkpoint.bestValidationLoss)
        } else if let model = configuration.initialModel {
            throw ConfigurationError(
                "\(folder.checkpoints.path) holds no whole checkpoint, and the run began from \(model.path): start a new "
                    + "run with --initialize-from")
        } else {
            warn(
                "\(folder.checkpoints.path) holds no whole checkpoint: the run starts from its beginning, unless "
                    + "workers kept something newer")
            job.replica = Replica(configuration: configuration, parameters: drawn(configuration))
        }
        job.term = lock.term
        job.digestsBeyond = MetricsWriter.digests(
            in: folder.metrics, after: job.step, upTo: configuration.totalSteps)
        let losses = MetricsWriter.validations(in: folder.metrics, upTo: job.step)
        if !losses.isEmpty { job.validations = ValidationHistory(losses) }
        if let patience = configuration.upkeep.patience, job.validations.stale >= patience {
            throw AlreadyFinished(
                description:
                    "the run in \(folder.url.path) is already finished: it ended early at step \(job.step), after "
                    + "\(job.validations.stale) evaluations without a better validation loss; a larger --patience, or 0, "
                    + "goes on")
        }
        guard job.step < configuration.totalSteps else {
            throw AlreadyFinished(
                description:
                    "the run in \(folder.url.path) is already finished at step \(job.step); more --steps or --epochs go on"
            )
        }
        return (job, lock)
    }

    // MARK: Parts

    /// - Throws: ``ConfigurationError`` for a file that is missing, too large or not a configuration.
    package static func configuration(at url: URL) throws -> RunConfiguration {
        guard let data = try? Data(contentsOf: url), data.count <= 1 << 20 else {
            throw ConfigurationError("\(url.path): cannot be read as a run.json")
        }
        do {
            let configuration = try JSONDecoder().decode(RunConfiguration.self, from: data)
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

    private static func load(path: String?, vocabulary: Vocabulary?, demo: RunConfiguration.Corpus? = nil) throws -> (
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
            encoded = try DemoCorpus(characters: demo?.characters ?? DemoCorpus.defaultCharacters, seed: seed)
                .encoded(vocabulary: vocabulary)
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

    private static func cut(_ corpus: EncodedCorpus, _ configuration: RunConfiguration) throws -> (
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

    private static func emptyCarries(_ configuration: RunConfiguration) -> CarryStore {
        CarryStore(
            shards: configuration.shards, shardFloats: configuration.rowsPerShard * configuration.model.carryCount)
    }

    private static func entropyBound(_ configuration: RunConfiguration) -> Double? {
        configuration.corpus.demoSeed == nil ? nil : DemoCorpus.entropyPerCharacter
    }

    /// The file's name without its ending.
    private static func name(ofCorpus path: String) -> String {
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        return name.isEmpty || name == "/" ? "run" : name
    }
}
