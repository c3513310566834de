import Coordination
import Corpus

// The held-out text between two steps: the workers' losses, and what is recorded of a step once they are there.
extension CoordinatorLoop {
    /// What is recorded of a step, in order. It waits for the losses where the step is evaluated.
    struct Upkeep {
        let record: StepRecord
        /// By an earlier start of the run, without a validation loss.
        var isOnRecord = false
        var state: CheckpointState?
        let isCheckpoint: Bool
        let isSample: Bool
    }

    /// Bytes of tokens in one lease, at most, unless a segment has more.
    private static let leaseBytes = 4 << 20

    static func segmentsPerLease(_ validation: BatchedCorpus) -> Int {
        max(1, leaseBytes / ((validation.windows * validation.window + 1) * 4))
    }

    /// Asks the machine for the next evaluation, where it comes after the step that is open.
    func planEvaluation() {
        let next = machine.step + 1
        guard job.validation != nil, upkeep.evaluates(after: next, isLast: next == configuration.totalSteps) else {
            return
        }
        machine.evaluate(after: next, now: clock)
    }

    /// Asks for the evaluation of the step that the run goes on from, where the last start was interrupted or died in it,
    /// or before all was written that follows from it.
    ///
    /// - Parameters:
    ///   - records: of steps that were recalled from workers. The last waits for its evaluation, as it did then.
    ///   - unevaluated: the line of the last committed step, where that is on record without a loss that counts.
    /// - Returns: the records that wait for nothing.
    func repeatEvaluation(_ records: [StepRecord], _ unevaluated: StepRecord?) -> [StepRecord] {
        guard let record = records.last ?? unevaluated, record.step == job.pendingEvaluation else {
            return records
        }
        awaitingRecord = Upkeep(
            record: record, isOnRecord: records.isEmpty, state: checkpointState(), isCheckpoint: false, isSample: false)
        machine.evaluate(after: record.step, now: clock)
        return records.dropLast()
    }

    func segmentTokens(_ lease: EvaluationLease) -> [UInt8] {
        LeasePayload.encode(tokens: lease.segments.map { job.validation!.run(row: Int($0)) }, carries: [])
    }

    func accept(_ segments: Set<Int>, of message: Message?) {
        guard case .evaluated(let result) = message else { preconditionFailure("only results are accepted") }
        for (segment, bits) in zip(result.segments, result.lossBits) where segments.contains(Int(segment)) {
            rowLosses[Int(segment)] = Double(bitPattern: bits)
        }
    }

    func evaluated() {
        // A step's time is its own.
        stepStarted = .now
        // A model that overflows on the held-out text alone has no number to record.
        let loss = Evaluation.loss(rowLosses: rowLosses, batches: job.validation!)
        record(loss.isFinite ? loss : nil)
    }

    /// Hands on what waits to be recorded.
    func record(_ validationLoss: Double? = nil) {
        guard let due = awaitingRecord else { return }
        awaitingRecord = nil
        let evaluation = validationLoss.flatMap { loss in due.state.map { (loss: loss, state: $0) } }
        if !due.isOnRecord {
            recorder?.post(.step(due.record, evaluation: evaluation))
        } else if let evaluation {
            recorder?.post(.lateEvaluation(due.record, loss: evaluation.loss, state: evaluation.state))
        }
        if due.isCheckpoint, let state = due.state { recorder?.post(.checkpoint(state)) }
        if due.isSample {
            recorder?.post(.sample(step: due.record.step, due.state?.parameters ?? copiedParameters()))
        }
    }
}
