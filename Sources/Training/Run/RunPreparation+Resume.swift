import Checkpoints
import Coordination
import Corpus
import Foundation
import Kernels
import LanguageModel

// A run that goes on.
extension RunPreparation {
    static func resumed(_ request: Request, warn: (String) -> Void) throws -> (TrainingJob, RunLock) {
        if let path = request.configurationFile {
            throw UsageError(
                "--config \(path) and --resume contradict each other: a resume takes its run's own")
        }
        if let path = request.initialModel {
            throw UsageError(
                "--initialize-from \(path) and --resume contradict each other: a run that goes on has a model")
        }
        let folder = try resumedFolder(request)
        let lock = try folder.lock()
        let base = try configuration(at: folder.configuration)
        if base.lacksText { return try adopted(request, base, folder, lock, warn: warn) }
        var configuration = try request.settings.applied(to: base)
        // The default of --shards follows --batch, which a resume may repeat.
        if request.settings.shards == nil { configuration.shards = base.shards }
        configuration.totalSteps = try request.settings.totalSteps(
            stepsPerEpoch: base.stepsPerEpoch, base: base.totalSteps)
        let differences = configuration.differences(from: base)
        guard differences.isEmpty else {
            throw ConfigurationError("cannot resume \(folder.url.path): " + differences.joined(separator: "; "))
        }
        try checkFlags(configuration)
        let vocabulary = try vocabulary(of: folder, request)
        let (corpus, fingerprint) = try load(
            path: request.corpus ?? base.corpus.path, vocabulary: vocabulary, demo: base.corpus)
        guard fingerprint.sha256 == base.corpus.sha256 else {
            throw ConfigurationError(
                "cannot resume \(folder.url.path): \(fingerprint.path ?? fingerprint.name) is not the text of this run "
                    + "(its SHA-256 is \(fingerprint.sha256.prefix(12))..., the run's "
                    + "\(base.corpus.sha256.prefix(12))...): give the path of that text as CORPUS")
        }
        let (batches, validation) = try cut(corpus, configuration)
        guard UInt64(batches.windows) == configuration.stepsPerEpoch else {
            throw ConfigurationError("\(folder.configuration.path) does not fit the text: it was changed by hand")
        }
        var job = TrainingJob(
            configuration: configuration, vocabulary: vocabulary, batches: batches, validation: validation,
            folder: folder, replica: Replica(configuration: configuration), carries: emptyCarries(configuration),
            step: 0, entropyBound: entropyBound(configuration))
        let keepsLoss = try restoreCheckpoint(of: &job, warn: warn)
        job.term = lock.term
        job.digestsBeyond = MetricsReader.digests(
            in: folder.metrics, after: job.step, upTo: configuration.totalSteps)
        job.pendingEvaluation = pendingEvaluation(of: job, keepsLoss: keepsLoss)
        let unevaluated = job.takeHistory()
        try checkUnfinished(job, lacksLoss: unevaluated != nil)
        return (job, lock)
    }

    /// The folder that the request names, by its run or its text, or the newest.
    private static func resumedFolder(_ request: Request) throws(RunFolderError) -> RunFolder {
        if let run = request.run { return try RunFolder.open(run) }
        if let corpus = request.corpus { return try RunFolder.open("runs/\(name(ofCorpus: corpus))") }
        return try RunFolder.newest()
    }

    /// Puts the job where its newest whole checkpoint stands, or at the beginning where there is none.
    ///
    /// - Returns: whether the checkpoint tells the validation loss of its own step.
    /// - Throws: ``ConfigurationError`` where there is none and the beginning is another run's model.
    private static func restoreCheckpoint(of job: inout TrainingJob, warn: (String) -> Void) throws -> Bool {
        let folder = job.folder.checkpoints
        if let (url, checkpoint) = CheckpointStore(folder: folder).newestVerified(warn: warn) {
            (job.replica, job.carries) = try CheckpointMapping.restore(
                checkpoint, of: job.configuration, from: url.path)
            job.step = checkpoint.step
            job.validations = ValidationHistory(best: checkpoint.bestValidationLoss)
            return checkpoint.validationLoss != nil
        } else if let model = job.configuration.initialModel {
            throw ConfigurationError(
                "\(folder.path) holds no whole checkpoint, and the run began from \(model.path): start a new run with "
                    + "--initialize-from")
        } else {
            warn(
                "\(folder.path) holds no whole checkpoint: the run starts from its beginning, unless workers kept "
                    + "something newer")
            job.replica = Replica(configuration: job.configuration, parameters: drawn(job.configuration))
            return false
        }
    }

    /// The step of the first evaluation, from the checkpoint's own on, that is to be made.
    private static func pendingEvaluation(of job: TrainingJob, keepsLoss: Bool) -> UInt64? {
        let configuration = job.configuration
        var search = EvaluationSearch(
            checkpoint: job.step, keepsLoss: keepsLoss, patience: configuration.upkeep.patience,
            nextDue: { configuration.nextEvaluation(from: $0) })
        MetricsReader.read(job.folder.metrics) { record, loss in
            if record.step <= configuration.totalSteps { search.add(step: record.step, loss: loss) }
        }
        return search.pending
    }

    /// - Throws: ``AlreadyFinished`` where no step is left to do.
    private static func checkUnfinished(_ job: TrainingJob, lacksLoss: Bool) throws(AlreadyFinished) {
        let path = job.folder.url.path
        if let patience = job.configuration.upkeep.patience, job.validations.stale >= patience {
            throw AlreadyFinished(
                description: "the run in \(path) is already finished: it ended early at step \(job.step), after "
                    + "\(job.validations.stale) evaluations without a better validation loss; a larger --patience, or 0, "
                    + "goes on")
        }
        // Its last evaluation may have been interrupted.
        let lacksEvaluation = lacksLoss && job.step == job.pendingEvaluation
        guard job.step < job.configuration.totalSteps || lacksEvaluation else {
            throw AlreadyFinished(
                description:
                    "the run in \(path) is already finished at step \(job.step); more --steps or --epochs go on"
            )
        }
    }

    /// - Throws: ``ConfigurationError`` where the file of `--vocabulary` has another.
    static func vocabulary(of folder: RunFolder, _ request: Request) throws -> Vocabulary {
        let vocabulary = try Vocabulary(path: folder.vocabulary.path)
        if let file = request.vocabularyFile, try Vocabulary(path: file) != vocabulary {
            throw ConfigurationError(
                "cannot resume \(folder.url.path): --vocabulary \(file) is not that of its run: leave it out")
        }
        return vocabulary
    }
}
