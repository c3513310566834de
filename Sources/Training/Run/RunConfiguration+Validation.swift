import Coordination
import Corpus
import LanguageModel
import ZeroMQ

extension RunConfiguration {
    /// Whether the values can be worked with: they may come from a file or a peer.
    ///
    /// - Throws: ``ConfigurationError`` naming the first value that cannot be, and its bounds.
    package func validate() throws(ConfigurationError) {
        try require(format == Self.currentFormat, "run format \(format) is not known: upgrade lockstep")
        try require(runNumber != 0, "the run's identity is not 16 hex digits")
        try validateModel()
        try validateBatches()
        try validateUpdates()
        try validateCourse()
    }

    private func validateModel() throws(ConfigurationError) {
        try require((2...0x110000).contains(model.vocabulary), "the vocabulary must have 2 characters or more")
        try require("--hidden", model.hidden, in: Self.hiddenRange)
        try require("--layers", model.layers, in: Self.layersRange)
        try require(dropout >= 0 && dropout < 1, "--dropout must be at least 0 and below 1, not \(dropout)")
        try require(forgetBias?.isFinite ?? true, "--forget-bias must be finite, not \(forgetBias ?? 0)")
    }

    /// How the text is cut, and whether what is cut can be sent.
    private func validateBatches() throws(ConfigurationError) {
        try require("--batch", batch, in: Self.batchRange)
        try require(
            validationSplit != .columns || validation == 0 || batch <= Wire.maximumShards,
            "--validation-split columns scores all rows at once, \(Wire.maximumShards) at most: lower --batch \(batch), "
                + "or hold out the tail")
        try require("--window", window, in: Self.windowRange)
        try require(validation >= 0 && validation < 1, "--validation must be at least 0 and below 1, not \(validation)")
        try require("--shards", shards, in: Self.shardsRange)
        try require(
            batch % shards == 0,
            "--shards \(shards) does not divide --batch \(batch): choose a divisor, "
                + "such as \(Self.defaultShards(batch: batch))")
        try require(
            carryBytes <= Socket.maximumFrame,
            "the recurrent state of a shard has \(carryBytes) bytes and \(Socket.maximumFrame) can be sent at once: "
                + "raise --shards")
        try require(
            batch * (model.carryCount + window + 1) * 4 <= Socket.maximumLease,
            "the recurrent state of a batch has more bytes than can be sent at once: lower --batch")
    }

    private func validateUpdates() throws(ConfigurationError) {
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
    }

    /// How long the run is, and how it is cared for.
    private func validateCourse() throws(ConfigurationError) {
        try require("--steps", totalSteps, in: 1...Self.maximumSteps)
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

    private func require(_ condition: Bool, _ message: String) throws(ConfigurationError) {
        if !condition { throw ConfigurationError(message) }
    }

    private func require<Value: BinaryInteger>(
        _ flag: String, _ value: Value, in range: ClosedRange<Value>
    ) throws(ConfigurationError) {
        try require(
            range.contains(value), "\(flag) must be from \(range.lowerBound) to \(range.upperBound), not \(value)")
    }
}
