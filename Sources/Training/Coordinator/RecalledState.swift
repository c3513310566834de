import Coordination
import Kernels
import LanguageModel

/// The state that workers hand to a coordinator which was started again: parts come in, digests are compared.
final class RecalledState {
    let replica: Replica
    private(set) var carries: CarryStore
    /// The records of the steps whose lines are missing.
    var history: [HistoryRecord] = []

    init(configuration: RunConfiguration) {
        replica = Replica(configuration: configuration)
        carries = CarryStore(
            shards: configuration.shards, shardFloats: configuration.carryFloats)
    }

    func store(part: Int, _ bytes: UnsafeRawBufferPointer) { replica.fill(part: part, from: bytes) }

    func store(carry shard: Int, _ bytes: UnsafeRawBufferPointer) { carries.accept(shard: shard, bytes: bytes) }

    /// All shards' carries have come in.
    func completeCarries() { carries.commit() }
}

extension HistoryRecord {
    /// The line that the lost coordinator did not get to write.
    func record(_ configuration: RunConfiguration) -> StepRecord {
        let seconds = max(Double(facts.nanoseconds) / 1e9, 1e-9)
        return StepRecord(
            step: step, epoch: configuration.epoch(step: step - 1) + 1, loss: Double(bitPattern: facts.lossBits),
            gradientNorm: Double(bitPattern: facts.gradientNormBits),
            learningRate: Double(bitPattern: learningRateBits),
            charactersPerSecond: Double(configuration.batch * configuration.window) / seconds, stepSeconds: seconds,
            workers: Int(facts.workers), digest: digest)
    }
}
