import Coordination
import Corpus
import Kernels
import LanguageModel
import ZeroMQ

// Taking over what workers kept, and settling what is in doubt.
extension CoordinatorLoop {
    func recall() -> RecalledState {
        let state = recalled ?? RecalledState(configuration: configuration)
        recalled = state
        return state
    }

    func verifyRecalled(_ socket: borrowing Socket) {
        let state = recall()
        state.completeCarries()
        perform(
            machine.recalled(digest: state.replica.digest, stateDigest: state.replica.stateDigest, now: clock), socket)
        // Where it was refused, the next attempt starts from nothing.
        if machine.isRecovering { recalled = nil }
    }

    func goOn(from step: UInt64) {
        let state = recall()
        job.replica = state.replica
        job.step = step
        carries = state.carries
        progress.recovered(step: step)
        attempt { try begin() }
    }

    // MARK: Doubt

    /// What was folded and pushed of the open step is void. What is still on its way keeps its own buffer.
    func abandonStep() {
        fold.clear()
        averages.abandon(step: machine.step)
    }

    func settle(_ dispute: Dispute, _ socket: borrowing Socket) {
        progress.event(
            "step \(dispute.step + 1): computing shard\(dispute.shards.count == 1 ? "" : "s") "
                + dispute.shards.map(String.init).joined(separator: ", ") + " here, since \(dispute.reason)")
        let rows = configuration.rowsPerShard
        let resets = configuration.stateless || dispute.step % configuration.stepsPerEpoch == 0
        let verdict = judge.judge(
            shards: dispute.shards, step: dispute.step, parameters: job.replica.parameters
        ) { shard in
            let (inputs, targets) = job.batches.batch(
                rows: shard * rows..<(shard + 1) * rows, window: configuration.window(step: dispute.step))
            let carry = carries.shard(shard)
            return ShardWork(
                shard: shard, inputs: inputs, targets: targets,
                carry: resets ? Array(repeating: 0, count: carry.count) : Array(carry))
        }
        perform(machine.settled(dispute, answer: verdict.answer, isFinite: verdict.isFinite, now: clock), socket)
    }
}
