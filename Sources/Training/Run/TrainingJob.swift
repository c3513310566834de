package import Coordination
package import Corpus
import LanguageModel

/// A run that is ready to go on: what was prepared from flags, the text, and a checkpoint where there is one.
package struct TrainingJob {
    package var configuration: RunConfiguration
    package var vocabulary: Vocabulary
    package var batches: BatchedCorpus
    /// nil where nothing is held out.
    package var validation: BatchedCorpus?
    package var folder: RunFolder
    package var replica: Replica
    package var carries: CarryStore
    /// Steps committed before this start.
    package var step: UInt64
    /// What is known of the evaluations so far.
    package var validations = ValidationHistory()
    /// Entropy of the demo corpus in nats a character: no model can do better.
    package var entropyBound: Double?
    /// Which start of the run this is; higher than that of any earlier one.
    package var term: UInt64 = 1
    /// In a resume, digests of the parameters after the steps that are in `metrics.jsonl` and not in the checkpoint.
    package var digestsBeyond: [UInt64: UInt64] = [:]
    /// In a resume, the step of the first evaluation that is to be made, from the checkpoint's own on; nil for none.
    package var pendingEvaluation: UInt64?

    /// Takes in what `metrics.jsonl` has of the evaluations up to the job's step.
    ///
    /// - Returns: the line of that step, where it has no validation loss that counts.
    mutating func takeHistory() -> StepRecord? {
        let history = MetricsReader.history(in: folder.metrics, upTo: step, pending: pendingEvaluation)
        if !history.validations.isEmpty { validations = ValidationHistory(history.validations) }
        return history.unevaluated
    }
}
