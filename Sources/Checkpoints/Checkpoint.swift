package import Kernels
package import LanguageModel

/// Everything that training goes on from, after a committed step. Whoever hands one out sees to it that its buffers
/// are not written any more.
package struct Checkpoint: Sendable {
    /// A buffer of the optimizer's state, as long as the parameters.
    package struct Slot: Sendable {
        /// PyTorch's name, such as `exp_avg`.
        package var name: String
        package var values: FloatBuffer

        package init(name: String, values: FloatBuffer) {
            self.name = name
            self.values = values
        }
    }

    package var shape: ModelShape
    package var parameters: FloatBuffer
    /// In the order of `OptimizerConfiguration.slotNames`.
    package var slots: [Slot]
    /// `[B][layers][h, c][H]`: what the next window of each row starts from.
    package var carry: [Float]
    /// Committed steps.
    package var step: UInt64
    /// That of the next step, from 0.
    package var epoch: UInt64
    /// The window of the epoch that comes next.
    package var windowIndex: Int
    /// The seed of initial parameters and dropout.
    package var seed: UInt64
    package var shards: Int
    /// The run's configuration, as JSON.
    package var configuration: String
    /// The vocabulary, as JSON.
    package var vocabulary: String
    /// 64 hex digits; empty for an imported model that no text was given to.
    package var corpusSHA256: String
    package var corpusCharacters: Int
    /// The loss of these parameters on the held-out text, in nats a character, where it was measured: the best
    /// checkpoint is the one with the smallest.
    package var validationLoss: Double?
    /// The smallest validation loss of the run so far.
    package var bestValidationLoss: Double?

    package init(
        shape: ModelShape, parameters: FloatBuffer, slots: [Slot], carry: [Float], step: UInt64, epoch: UInt64,
        windowIndex: Int, seed: UInt64, shards: Int, configuration: String, vocabulary: String, corpusSHA256: String,
        corpusCharacters: Int, validationLoss: Double? = nil, bestValidationLoss: Double? = nil
    ) {
        self.shape = shape
        self.parameters = parameters
        self.slots = slots
        self.carry = carry
        self.step = step
        self.epoch = epoch
        self.windowIndex = windowIndex
        self.seed = seed
        self.shards = shards
        self.configuration = configuration
        self.vocabulary = vocabulary
        self.corpusSHA256 = corpusSHA256
        self.corpusCharacters = corpusCharacters
        self.validationLoss = validationLoss
        self.bestValidationLoss = bestValidationLoss
    }

    /// `B`, the rows of the global batch.
    package var batch: Int { carry.count / shape.carryCount }

    /// The digest of the parameters alone, as workers tell it after every commit.
    package var parametersDigest: UInt64 { digest(parameters) }

    /// The digest of parameters, optimizer state and carry.
    package var stateDigest: UInt64 {
        var words = [digest(parameters)]
        for slot in slots { words.append(digest(slot.values)) }
        words.append(digest(FloatBuffer(carry)))
        var combined = IntegrityDigest()
        words.map(\.littleEndian).withUnsafeBytes { combined.update($0) }
        return combined.finish()
    }
}
