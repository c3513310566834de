import Checkpoints
import Corpus
import Foundation
import Kernels
import LanguageModel

/// Between a run's state and what a checkpoint file holds.
enum CheckpointMapping {
    static func checkpoint(
        _ state: CheckpointState, configuration: RunConfiguration, vocabulary: Vocabulary, validationLoss: Double?,
        best: Double?
    ) throws -> Checkpoint {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return Checkpoint(
            shape: configuration.model, parameters: state.parameters,
            slots: zip(configuration.optimizer.slotNames, state.slots).map { .init(name: $0, values: $1) },
            carry: state.carry, step: state.step, epoch: configuration.epoch(step: state.step),
            windowIndex: configuration.window(step: state.step), seed: configuration.seed,
            shards: configuration.shards,
            configuration: String(decoding: try encoder.encode(configuration), as: UTF8.self),
            vocabulary: String(decoding: vocabulary.json, as: UTF8.self), corpusSHA256: configuration.corpus.sha256,
            corpusCharacters: configuration.corpus.characters, validationLoss: validationLoss,
            bestValidationLoss: best)
    }

    /// Fills a replica from a checkpoint of the same run.
    ///
    /// - Throws: ``ConfigurationError`` where the checkpoint is of another run or shape, or of other settings: a run that
    ///   went on with those would be neither the one nor the other.
    static func restore(_ checkpoint: Checkpoint, of configuration: RunConfiguration, from path: String)
        throws(ConfigurationError) -> (replica: Replica, carries: CarryStore)
    {
        guard checkpoint.shape == configuration.model, checkpoint.batch == configuration.batch,
            checkpoint.shards == configuration.shards, checkpoint.seed == configuration.seed,
            checkpoint.slots.map(\.name) == configuration.optimizer.slotNames,
            checkpoint.corpusSHA256 == configuration.corpus.sha256,
            let own = try? JSONDecoder().decode(RunConfiguration.self, from: Data(checkpoint.configuration.utf8)),
            own.differences(from: configuration).isEmpty
        else {
            throw ConfigurationError(
                "\(path) belongs to another run than the run.json beside it, or that was changed by hand")
        }
        let replica = Replica(configuration: configuration, parameters: checkpoint.parameters)
        for (slot, values) in zip(replica.optimizer.slots, checkpoint.slots) { slot.copy(from: values.values) }
        let carries = CarryStore(
            shards: configuration.shards, shardFloats: configuration.carryFloats,
            committed: checkpoint.carry)
        return (replica, carries)
    }
}
