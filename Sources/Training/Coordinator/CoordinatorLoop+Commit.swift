import Coordination
import Foundation
import Kernels
import LanguageModel

/// What the coordinator says of a step that is complete.
struct DecidedStep {
    let scalars: UpdateScalars
    let facts: StepFacts

    /// - Parameter step: from 0, as in ``Commit``.
    func commit(_ step: UInt64) -> Commit { scalars.commit(step: step, record: facts) }
}

// The end of a step: its scalars, the update, what is recorded of it.
extension CoordinatorLoop {
    /// All of a step is there: the scalars that every replica will use.
    func decide(_ step: UInt64) {
        let norm = squares.reduce(0, +).squareRoot()
        let loss = treeSum(losses, machine.tree) / Double(configuration.batch * configuration.window)
        guard norm.isFinite, loss.isFinite else {
            guard parametersAreFinite() else { return }
            failure = Failure(
                description:
                    "the gradient of step \(step + 1) is not finite (norm \(norm), loss \(loss)): the last good "
                    + "step is kept; begin a new run from it with --initialize-from, and a lower --learning-rate or --clip"
            )
            return
        }
        let clip = configuration.clip
        let coefficient = clip > 0 ? min(1, clip / (norm + 1e-6)) : 1
        let rate = configuration.schedule.learningRate(
            base: configuration.optimizer.learningRate, step: step, stepsPerEpoch: configuration.stepsPerEpoch,
            totalSteps: configuration.totalSteps)
        let elapsed = (ContinuousClock.now - stepStarted).wholeNanoseconds
        decided[step] = DecidedStep(
            scalars: Optimizer.scalars(
                configuration: configuration.optimizer, update: step + 1, learningRate: rate,
                clipCoefficient: coefficient),
            facts: StepFacts(
                lossBits: loss.bitPattern, gradientNormBits: norm.bitPattern, nanoseconds: max(1, elapsed),
                workers: UInt32(machine.readyWorkers.count)))
        carries.commit()
    }

    /// The coordinator's own copy follows while the workers are at the next step.
    func update(_ step: UInt64) {
        let replica = job.replica
        let decided = decided[step]!
        replica.apply(decided.scalars, average: averages[step])
        committedStep = step + 1
        let digest = replica.digest
        machine.digested(step: step + 1, digest: digest)
        fold.clear()
        snapshots.forgetNewest()
        let now = ContinuousClock.now
        let seconds = (now - stepStarted) / .seconds(1)
        stepStarted = now
        let record = StepRecord(
            step: step + 1, epoch: configuration.epoch(step: step) + 1,
            loss: Double(bitPattern: decided.facts.lossBits),
            gradientNorm: Double(bitPattern: decided.facts.gradientNormBits),
            learningRate: decided.scalars.learningRate,
            charactersPerSecond: Double(configuration.batch * configuration.window) / seconds, stepSeconds: seconds,
            workers: machine.readyWorkers.count, digest: digest)
        let due = upkeep.committed(step: step + 1, isLast: step + 1 == configuration.totalSteps)
        if due.checkpoint, !parametersAreFinite() { return }
        let phases = progress.monitor.phases(step: step)
        if !phases.isEmpty { recorder?.post(.phases(step: step, phases)) }
        awaitingRecord = Upkeep(
            record: record, state: machine.isEvaluating || due.checkpoint ? checkpointState() : nil,
            isCheckpoint: due.checkpoint, isSample: due.sample)
        if !machine.isEvaluating { self.record() }
        planEvaluation()
        progress.committed(record)
    }

    /// A finite gradient may still make parameters that are not, as with --epsilon 0. The run ends then, without a
    /// checkpoint of them.
    func parametersAreFinite() -> Bool {
        guard !Kernels.isFinite(job.replica.parameters.bytes) else { return true }
        savesState = false
        failure =
            failure
            ?? Failure(
                description: "the parameters after step \(committedStep) are not finite: the checkpoints so far stand; "
                    + "begin a new run from one with --initialize-from, and a lower --learning-rate or another --epsilon"
            )
        return false
    }

    func forgetOldSteps() {
        let oldest = machine.oldestNeededStep
        decided = decided.filter { $0.key >= oldest }
        averages.forget(before: oldest) { machine.stepsHeld(by: $0) }
    }

    /// An immutable copy of the state after the last committed step.
    func checkpointState() -> CheckpointState {
        CheckpointState(
            step: committedStep, parameters: copied(job.replica.parameters),
            slots: job.replica.optimizer.slots.map(copied), carry: carries.committed)
    }

    func copiedParameters() -> FloatBuffer { copied(job.replica.parameters) }

    private func copied(_ buffer: FloatBuffer) -> FloatBuffer {
        let copy = statePool.take()
        copy.copy(from: buffer)
        return copy
    }

    func checkpoint() { recorder?.post(.checkpoint(checkpointState())) }
}

/// The canonical tree over Doubles: the same sum whoever computed the leaves.
func treeSum(_ values: [Double], _ tree: ReductionTree) -> Double {
    func sum(_ node: TreeNode) -> Double {
        guard let (left, right) = tree.children(of: node) else { return values[tree.shards(node)!.lowerBound] }
        return sum(left) + sum(right)
    }
    return sum(tree.root)
}
