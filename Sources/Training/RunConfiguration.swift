import Coordination
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
        /// Of the bytes, 64 hex digits; empty for an imported model that no text was given to.
        package var sha256: String
        /// Unicode scalars.
        package var characters: Int
        /// Of the demo corpus.
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
    /// Of initial parameters and dropout.
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

    /// Whether the values can be worked with: they may come from a file or a peer.
    ///
    /// - Throws: ``ConfigurationError`` naming the first value that cannot be, and its bounds.
    package func validate() throws(ConfigurationError) {
        func require(_ condition: Bool, _ message: String) throws(ConfigurationError) {
            if !condition { throw ConfigurationError(message) }
        }
        try require(format == Self.currentFormat, "run format \(format) is not known: upgrade lockstep")
        try require(runNumber != 0, "the run's identity is not 16 hex digits")
        try require((2...0x110000).contains(model.vocabulary), "the vocabulary must have 2 characters or more")
        try require(
            Self.hiddenRange.contains(model.hidden),
            "--hidden must be from 1 to \(Self.hiddenRange.upperBound), not \(model.hidden)")
        try require(
            Self.layersRange.contains(model.layers),
            "--layers must be from 1 to \(Self.layersRange.upperBound), not \(model.layers)")
        try require(dropout >= 0 && dropout < 1, "--dropout must be at least 0 and below 1, not \(dropout)")
        try require(forgetBias?.isFinite ?? true, "--forget-bias must be finite, not \(forgetBias ?? 0)")
        try require(
            Self.batchRange.contains(batch), "--batch must be from 1 to \(Self.batchRange.upperBound), not \(batch)")
        try require(
            validationSplit != .columns || validation == 0 || batch <= Wire.maximumShards,
            "--validation-split columns scores all rows at once, \(Wire.maximumShards) at most: lower --batch \(batch), "
                + "or hold out the tail")
        try require(
            Self.windowRange.contains(window),
            "--window must be from 1 to \(Self.windowRange.upperBound), not \(window)")
        try require(validation >= 0 && validation < 1, "--validation must be at least 0 and below 1, not \(validation)")
        try require(
            Self.shardsRange.contains(shards),
            "--shards must be from 1 to \(Self.shardsRange.upperBound), not \(shards)")
        try require(
            batch % shards == 0,
            "--shards \(shards) does not divide --batch \(batch): choose a divisor, "
                + "such as \(Self.defaultShards(batch: batch))")
        let carry = rowsPerShard * model.carryCount * 4
        try require(
            carry <= Socket.maximumFrame,
            "the recurrent state of a shard has \(carry) bytes and \(Socket.maximumFrame) can be sent at once: "
                + "raise --shards")
        try require(
            batch * (model.carryCount + window + 1) * 4 <= Socket.maximumLease,
            "the recurrent state of a batch has more bytes than can be sent at once: lower --batch")
        try require(clip >= 0 && clip.isFinite, "--clip must be 0 (none) or more, and finite, not \(clip)")
        try require(
            clipValue.map { $0 > 0 && $0.isFinite } ?? true,
            "--clip-value must be 0 (none) or more, and finite, not \(clipValue ?? 0)")
        for (flag, value) in [
            ("--learning-rate", optimizer.learningRate), ("--epsilon", optimizer.epsilon),
            ("--momentum", optimizer.momentum), ("--weight-decay", optimizer.weightDecay),
        ] {
            try require(value >= 0 && value.isFinite, "\(flag) must be 0 or more, and finite, not \(value)")
        }
        for (flag, value) in [
            ("--beta1", optimizer.beta1), ("--beta2", optimizer.beta2), ("--alpha", optimizer.alpha),
        ] {
            try require((0..<1).contains(value), "\(flag) must be at least 0 and below 1, not \(value)")
        }
        try require(
            (1...Self.maximumSteps).contains(totalSteps),
            "--steps must be from 1 to \(Self.maximumSteps), not \(totalSteps)")
        try require(
            (1...Self.maximumSteps).contains(stepsPerEpoch),
            "an epoch must have from 1 to \(Self.maximumSteps) steps, not \(stepsPerEpoch)")
        try require(corpus.characters >= 0, "the text must have 0 characters or more, not \(corpus.characters)")
        do { try schedule.validate() } catch { throw ConfigurationError(error.description) }
        try require(upkeep.patience ?? 1 >= 1, "--patience must be 0 (none) or more, not \(upkeep.patience ?? 0)")
        try require(
            upkeep.patience == nil || (validation > 0 && upkeep.evaluateEvery != .never),
            "--patience waits for evaluations: it needs --validation and --evaluate-every")
        try require(upkeep.keep >= 1, "--keep must be 1 or more, not \(upkeep.keep)")
    }
}

/// Flags that are wrong by themselves or contradict each other, whatever the files and the machine: a command ends with
/// code 64. The message says which and what to do.
package struct UsageError: Error, CustomStringConvertible, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// A setting, file or state of the machine that cannot be worked with: a command ends with code 1. The message says
/// which and what to do.
package struct ConfigurationError: Error, CustomStringConvertible, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}
