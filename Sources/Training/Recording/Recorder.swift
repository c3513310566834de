package import Checkpoints
import Coordination
import Corpus
import Foundation
package import Kernels
import LanguageModel
import Synchronization

/// An immutable copy of the state after a step.
package struct CheckpointState: Sendable {
    package var step: UInt64
    package var parameters: FloatBuffer
    /// As ``Optimizer/slots``.
    package var slots: [FloatBuffer]
    /// The carry of all rows: `[B][layers][h, c][H]`.
    package var carry: [Float]
}

/// What the recorder has done, for the coordinator's thread to tell the user.
package enum RecorderReport: Sendable {
    case evaluated(step: UInt64, loss: Double, best: Double)
    /// With the steps of all checkpoints that stand.
    case checkpointed(step: UInt64, path: String, kept: Set<UInt64>)
    case checkpointFailed(step: UInt64, reason: String)
    case metricsFailed(reason: String)
    /// At the end, the disk still did not take them.
    case metricsLost(lines: Int)
    /// More lines of `metrics.jsonl` wait for the disk than are to be kept in memory.
    case metricsOverdue(lines: Int)
    case sampled(step: UInt64, text: String)
    /// The run ends with this step, by its patience.
    case exhausted(step: UInt64, evaluations: Int)
}

/// A thread that writes and samples beside the training.
///
/// What waits for it is bounded however slow the disk is. A line of `metrics.jsonl`, with the step's validation loss,
/// comes for every step; of the states only the newest of each use waits. No checkpoint stands before the lines and
/// events up to its step do.
package final class Recorder: @unchecked Sendable {
    // @unchecked: what is above `metrics` is immutable or guarded by `condition`; all else belongs to the thread.
    package enum Task {
        /// Means over the workers, in seconds.
        case phases(step: UInt64, [(name: String, seconds: Double)])
        /// An evaluated state is kept as a checkpoint where it is the best so far. The loss is in nats a character.
        case step(StepRecord, evaluation: (loss: Double, state: CheckpointState)?)
        /// The evaluation of a step that an earlier start of the run put on record, and did not get to evaluate.
        case lateEvaluation(StepRecord, loss: Double, state: CheckpointState)
        case checkpoint(CheckpointState)
        case sample(step: UInt64, FloatBuffer)
    }

    private enum Line {
        case phases(step: UInt64, [(name: String, seconds: Double)])
        /// The losses are that of this step and the lowest so far.
        case step(StepRecord, evaluation: (loss: Double, best: Double)?)
        case lateEvaluation(StepRecord, loss: Double, best: Double)
    }

    /// A line for the file: a new one, or the last with a loss.
    private enum Entry {
        case new(StepRecord, validationLoss: Double?)
        case late(StepRecord, validationLoss: Double)
    }

    /// A state to write, and what was known when it was posted.
    private struct Snapshot {
        var state: CheckpointState
        /// The validation loss of this very state.
        var validationLoss: Double?
        var best: Double?
    }

    /// What was posted since the thread last looked.
    private struct Waiting {
        var lines: [Line] = []
        /// The newest state with a lower validation loss than all before.
        var best: Snapshot?
        var checkpoint: Snapshot?
        var sample: (step: UInt64, parameters: FloatBuffer)?
        /// Set by the patience of the run, after which nothing is recorded.
        var exhausted: (step: UInt64, evaluations: Int)?

        var isEmpty: Bool { lines.isEmpty && best == nil && checkpoint == nil && sample == nil }
    }

    private let configuration: RunConfiguration
    private let vocabulary: Vocabulary
    private let store: CheckpointStore
    private let report: @Sendable (RecorderReport) -> Void
    private let condition = NSCondition()
    private let isHurried = Atomic<Bool>(false)
    private let done = DispatchSemaphore(value: 0)
    private var waiting = Waiting()
    private var isFinishing = false
    private var validations: ValidationHistory
    private var evaluated: (step: UInt64, loss: Double)?
    /// The run has ended with a step before those that still come: nothing of them is recorded, so that it ends on the
    /// same step however far the workers have got meanwhile.
    private var isExhausted = false
    /// Lines that were posted and are not in the file.
    private var backlog = 0
    /// That these were too many has been told, which ends the run.
    private var isOverdue = false
    /// Some 10 MB.
    static let maximumBacklog = 1 << 16

    private var metrics: MetricsWriter
    /// nil where the file could not be made.
    private var events: EventFileWriter?
    private var hasWarnedOfEvents = false
    /// The step of the newest checkpoint of this start.
    private var written: UInt64?
    /// Lines that the disk did not take: they are written as soon as it does, in order.
    private var unwritten: [Entry] = []
    /// Why the disk did not take the last line that it was given.
    private var obstacle: RecordingError?

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - events: nil where the file could not be made.
    ///   - report: told what was written, and what could not be; from any thread.
    package init(
        job: TrainingJob, store: CheckpointStore, metrics: consuming MetricsWriter, events: consuming EventFileWriter?,
        report: @escaping @Sendable (RecorderReport) -> Void
    ) {
        configuration = job.configuration
        vocabulary = job.vocabulary
        validations = job.validations
        self.store = store
        self.metrics = metrics
        self.events = events
        self.report = report
        let thread = Thread { [self] in
            // Foundation tells the system a thread's name only on the thread itself.
            Thread.current.name = "recorder"
            work()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Hands over what is to be done, and waits for nothing. Steps come in their order, each before its own checkpoint.
    package func post(_ task: Task) {
        let becameOverdue = condition.withLock {
            guard !isExhausted else { return false }
            // The phases of a step come with the record of the next: one waking for both.
            if case .phases(let step, let phases) = task {
                waiting.lines.append(.phases(step: step, phases))
                return false
            }
            condition.signal()
            switch task {
            case .phases: break
            case .step(let record, let evaluation):
                let evaluation = evaluation.map { judge($0.loss, $0.state, record.step) }
                waiting.lines.append(.step(record, evaluation: evaluation))
                backlog += 1
            case .lateEvaluation(let record, let loss, let state):
                waiting.lines.append(
                    .lateEvaluation(record, loss: loss, best: judge(loss, state, record.step).best))
                backlog += 1
            case .checkpoint(let state): waiting.checkpoint = snapshot(state)
            case .sample(let step, let parameters): waiting.sample = (step, parameters)
            }
            guard backlog >= Self.maximumBacklog, !isOverdue else { return false }
            isOverdue = true
            return true
        }
        if becameOverdue { report(.metricsOverdue(lines: Self.maximumBacklog)) }
    }

    /// Keeps an evaluated state that is to be written: a better one takes the place of the best before it.
    private func judge(_ loss: Double, _ state: CheckpointState, _ step: UInt64) -> (loss: Double, best: Double) {
        evaluated = (step, loss)
        if validations.add(loss) { waiting.best = snapshot(state) }
        if let patience = configuration.upkeep.patience, validations.stale >= patience {
            waiting.checkpoint = snapshot(state)
            waiting.exhausted = (step, validations.stale)
            isExhausted = true
        }
        return (loss, validations.best!)
    }

    private func snapshot(_ state: CheckpointState) -> Snapshot {
        Snapshot(
            state: state, validationLoss: evaluated.flatMap { $0.step == state.step ? $0.loss : nil },
            best: validations.best)
    }

    /// Waits for all that was posted. In a hurry, samples are left out.
    package func finish(hurried: Bool) {
        if hurried { isHurried.store(true, ordering: .relaxed) }
        condition.withLock {
            isFinishing = true
            condition.signal()
        }
        done.wait()
    }

    // MARK: On the thread

    private func work() {
        while let taken = take() {
            for line in taken.lines { add(line) }
            writeLines()
            // The checkpoint that is due may be the best one too.
            let best = taken.best.flatMap { $0.state.step == taken.checkpoint?.state.step ? nil : $0 }
            let snapshots = [best, taken.checkpoint].compactMap { $0 }
            for snapshot in snapshots.sorted(by: { $0.state.step < $1.state.step }) { write(snapshot) }
            if let (step, evaluations) = taken.exhausted { report(.exhausted(step: step, evaluations: evaluations)) }
            if let (step, parameters) = taken.sample { sample(step, parameters) }
        }
        finishLines()
        done.signal()
    }

    /// What waits, as soon as something does; nil where nothing comes any more.
    private func take() -> Waiting? {
        if condition.withLock({ waiting.isEmpty }) { flushEvents() }
        return condition.withLock {
            while waiting.isEmpty && !isFinishing { condition.wait() }
            guard !waiting.isEmpty else { return nil }
            defer { waiting = Waiting() }
            return waiting
        }
    }

    private func add(_ line: Line) {
        switch line {
        case .phases(let step, let phases): events?.append(phases: phases, step: step)
        case .step(let record, let evaluation):
            if let evaluation {
                report(.evaluated(step: record.step, loss: evaluation.loss, best: evaluation.best))
            }
            unwritten.append(.new(record, validationLoss: evaluation?.loss))
            events?.append(record, validationLoss: evaluation?.loss)
        case .lateEvaluation(let record, let loss, let best):
            report(.evaluated(step: record.step, loss: loss, best: best))
            unwritten.append(.late(record, validationLoss: loss))
            events?.append(validationLoss: loss, step: record.step)
        }
    }

    /// What TensorBoard shows is not worth more than one warning.
    private func flushEvents() {
        do {
            try events?.flush()
        } catch {
            if !hasWarnedOfEvents { report(.metricsFailed(reason: "\(error)")) }
            hasWarnedOfEvents = true
        }
    }

    /// Writes the lines that wait, up to the first that the disk does not take: one warning for each time that it
    /// fails.
    private func writeLines() {
        var count = 0
        var failure: RecordingError?
        while failure == nil, count < unwritten.count {
            do throws(RecordingError) {
                switch unwritten[count] {
                case .new(let record, let loss): try metrics.append(record, validationLoss: loss)
                case .late(let record, let loss): try metrics.replaceLast(with: record, validationLoss: loss)
                }
                count += 1
                condition.withLock { backlog -= 1 }
            } catch {
                failure = error
            }
        }
        unwritten.removeFirst(count)
        if let failure, obstacle == nil { report(.metricsFailed(reason: "\(failure)")) }
        obstacle = failure
    }

    private func finishLines() {
        guard !unwritten.isEmpty else { return }
        writeLines()
        if !unwritten.isEmpty { report(.metricsLost(lines: unwritten.count)) }
    }

    private func write(_ snapshot: Snapshot) {
        let step = snapshot.state.step
        guard written != step else { return }
        // A resume from it would leave a gap in the lines.
        if let obstacle { return report(.checkpointFailed(step: step, reason: "\(obstacle)")) }
        flushEvents()
        do {
            try metrics.synchronise()
            let checkpoint = try CheckpointMapping.checkpoint(
                snapshot.state, configuration: configuration, vocabulary: vocabulary,
                validationLoss: snapshot.validationLoss, best: snapshot.best)
            let url = try store.write(checkpoint, keep: configuration.upkeep.keep)
            written = step
            report(.checkpointed(step: step, path: url.path, kept: Set(store.list().map(\.step))))
        } catch {
            report(.checkpointFailed(step: step, reason: "\(error)"))
        }
    }

    private func sample(_ step: UInt64, _ parameters: FloatBuffer) {
        guard !isHurried.load(ordering: .relaxed) else { return }
        let engine = ForwardEngine(shape: configuration.model, parameters: parameters, threads: 1)
        guard let sampler = try? Sampler(temperature: 0.8, seed: configuration.seed ^ step) else { return }
        let generator = TextGenerator(
            engine: engine, shape: configuration.model, vocabulary: vocabulary, samplers: [sampler])
        var text = ""
        do {
            try generator.read("")
            for _ in 0..<120 { text.unicodeScalars.append(try generator.next()[0]) }
        } catch {
            // A model that diverged: the losses tell of it.
            return
        }
        report(.sampled(step: step, text: text))
        events?.append(sample: text, step: step)
    }
}
