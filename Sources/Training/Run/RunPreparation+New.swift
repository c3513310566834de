import Checkpoints
import Corpus
import Foundation
import Kernels
import LanguageModel

// A run that begins: with drawn parameters, or with those of a model.
extension RunPreparation {
    static func fresh(_ request: Request, warn: (String) -> Void) throws -> (TrainingJob, RunLock) {
        let model = try request.initialModel.map { path in
            // A damaged checkpoint of another run is no reason to start from an older one without a word.
            try ModelSource(path: path, warn: warn)
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
        try AtomicFile.write(corpus.vocabulary.json, to: folder.vocabulary)
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
    static func checkFlags(_ configuration: RunConfiguration) throws(UsageError) {
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
    /// - Throws: ``CheckpointError`` where it cannot be written.
    static func write(_ configuration: RunConfiguration, to folder: RunFolder) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.write(Array(encoder.encode(configuration)), to: folder.configuration)
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

    static func drawn(_ configuration: RunConfiguration) -> FloatBuffer {
        configuration.initializer.initialise(
            layout: configuration.layout, shape: configuration.model, seed: configuration.seed,
            forgetBias: configuration.forgetBias)
    }

    // MARK: An imported model that is given a text

    static func adopted(
        _ request: Request, _ base: RunConfiguration, _ folder: RunFolder, _ lock: RunLock,
        warn: (String) -> Void
    ) throws -> (TrainingJob, RunLock) {
        guard let path = request.corpus else {
            throw ConfigurationError(
                "\(folder.url.path): an imported model that no text was given to yet: name one, as in lockstep train "
                    + "TEXT --run \(request.run ?? folder.url.path) --resume")
        }
        let vocabulary = try vocabulary(of: folder, request)
        guard let (url, checkpoint) = CheckpointStore(folder: folder.checkpoints).newestVerified(warn: warn) else {
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
}
