package import Corpus
package import LanguageModel
import ZeroMQ

/// Everything that the result is a function of, beside the corpus itself: what `run.json` holds and a resume continues.
package struct RunConfiguration: Codable, Sendable, Equatable {
    /// Where the text came from, and its fingerprint.
    package struct Corpus: Codable, Sendable, Equatable {
        /// An absolute path; nil for the built-in demo corpus.
        package var path: String?
        package var name: String
        /// SHA-256 of the bytes, 64 hex digits; empty for an imported model that no text was given to.
        package var sha256: String
        /// Unicode scalars.
        package var characters: Int
        /// The seed of the demo corpus; nil for another text.
        package var demoSeed: UInt64?

        package init(path: String?, name: String, sha256: String, characters: Int, demoSeed: UInt64? = nil) {
            self.path = path
            self.name = name
            self.sha256 = sha256
            self.characters = characters
            self.demoSeed = demoSeed
        }
    }

    /// The model that a run began from.
    package struct InitialModel: Codable, Sendable, Equatable {
        package var path: String
        /// 16 hex digits.
        package var parametersDigest: String

        package init(path: String, parametersDigest: String) {
            self.path = path
            self.parametersDigest = parametersDigest
        }
    }

    /// How the run is cared for. Never changes a bit of the parameters after a step.
    package struct Upkeep: Codable, Sendable, Equatable {
        package var checkpointEvery: Interval
        /// nil: once an epoch.
        package var evaluateEvery: Interval?
        package var sampleEvery: Interval
        /// The newest checkpoints that stay, at least 1; the best stays too.
        package var keep: Int
        /// Evaluations in a row without a better validation loss after which the run ends; nil for none.
        package var patience: Int?

        package init(
            checkpointEvery: Interval = .seconds(60), evaluateEvery: Interval? = nil,
            sampleEvery: Interval = .seconds(60), keep: Int = 3
        ) {
            self.checkpointEvery = checkpointEvery
            self.evaluateEvery = evaluateEvery
            self.sampleEvery = sampleEvery
            self.keep = keep
        }
    }

    /// Of `run.json`.
    package static let currentFormat = 1
    static let maximumSteps: UInt64 = 1 << 32 - 1
    package static let hiddenRange = 1...16384
    package static let layersRange = 1...64
    package static let batchRange = 1...65536
    package static let windowRange = 1...65536
    package static let shardsRange = 1...4096

    package var format = Self.currentFormat
    /// The version of the program that made the run.
    package var software: String
    /// Identity of the run: 16 hex digits, random.
    package var run: String
    package var corpus: Corpus
    package var model: ModelShape
    /// The probability that an output of a layer is dropped; below 1.
    package var dropout: Double
    package var initializer: Initializer
    /// What both biases of a forget gate come to at first; nil where they are drawn as the others.
    package var forgetBias: Float?
    /// `B`, rows of the global batch.
    package var batch: Int
    /// `T`, steps in a window.
    package var window: Int
    /// What is held out of the text, as a fraction.
    package var validation: Double
    /// nil: the tail.
    package var validationSplit: ValidationSplit.Kind?
    /// Carry reset at every window, not at every epoch.
    package var stateless: Bool
    /// `S`, leaves of the reduction tree.
    package var shards: Int
    /// The seed of initial parameters and dropout.
    package var seed: UInt64
    package var optimizer: OptimizerConfiguration
    /// The largest global norm of the gradient; 0 for none.
    package var clip: Double
    /// What each element of the gradient is clamped to, from minus this on, after ``clip``; nil for none.
    package var clipValue: Double?
    package var schedule: LearningRateSchedule
    /// From the run's beginning, whatever a resume finds done.
    package var totalSteps: UInt64
    package var stepsPerEpoch: UInt64
    package var upkeep: Upkeep
    /// nil where the parameters were drawn.
    package var initialModel: InitialModel?

    package init(
        software: String, run: String, corpus: Corpus, model: ModelShape, dropout: Double, initializer: Initializer,
        forgetBias: Float?, batch: Int, window: Int, validation: Double, stateless: Bool, shards: Int, seed: UInt64,
        optimizer: OptimizerConfiguration, clip: Double, schedule: LearningRateSchedule, totalSteps: UInt64,
        stepsPerEpoch: UInt64, upkeep: Upkeep
    ) {
        self.software = software
        self.run = run
        self.corpus = corpus
        self.model = model
        self.dropout = dropout
        self.initializer = initializer
        self.forgetBias = forgetBias
        self.batch = batch
        self.window = window
        self.validation = validation
        self.stateless = stateless
        self.shards = shards
        self.seed = seed
        self.optimizer = optimizer
        self.clip = clip
        self.schedule = schedule
        self.totalSteps = totalSteps
        self.stepsPerEpoch = stepsPerEpoch
        self.upkeep = upkeep
    }

    /// An imported model that no text was given to yet.
    package var lacksText: Bool { corpus.sha256.isEmpty }

    package var rowsPerShard: Int { batch / shards }
    /// Floats of a shard's carry.
    package var carryFloats: Int { rowsPerShard * model.carryCount }
    package var carryBytes: Int { carryFloats * 4 }
    /// As many carries as fit into a frame.
    var shardsPerResult: Int { max(1, Socket.maximumFrame / carryBytes) }
    package var layout: ParameterLayout { ParameterLayout(model) }
    package var geometry: EngineGeometry {
        EngineGeometry(
            shape: model, batch: batch, window: window, shards: shards, dropout: dropout, seed: seed)
    }

    /// The run's identity on the wire; never 0.
    package var runNumber: UInt64 { UInt64(run, radix: 16) ?? 0 }

    /// Epochs are counted from 0 here and from 1 for people.
    package func epoch(step: UInt64) -> UInt64 { step / stepsPerEpoch }
    /// The window of its epoch that a step, from 0, trains on.
    package func window(step: UInt64) -> Int { Int(step % stepsPerEpoch) }

    /// The default number of shards: the largest power of two that is at most 16 and divides the batch.
    package static func defaultShards(batch: Int) -> Int {
        var shards = 1
        while shards < 16 && batch % (shards * 2) == 0 { shards *= 2 }
        return shards
    }
}
