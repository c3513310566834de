package import Checkpoints
import Corpus
import Foundation
package import Kernels
import LanguageModel
import Synchronization

/// An immutable copy of the state after a step.
package struct CheckpointState: Sendable {
    package var step: UInt64
    package var parameters: FloatBuffer
    package var slots: [FloatBuffer]
    package var carry: [Float]
}

/// What the recorder has done, for the coordinator's thread to tell the user.
package enum RecorderReport: Sendable {
    case evaluated(step: UInt64, loss: Double, best: Double)
    case checkpointed(step: UInt64, path: String)
    case checkpointFailed(step: UInt64, reason: String)
    case metricsFailed(reason: String)
    case sampled(step: UInt64, text: String)
    /// The run ends with this step, by its patience.
    case exhausted(step: UInt64, evaluations: Int)
}

/// A thread that writes and samples beside the training, in the order of the steps.
///
/// One queue for both: a step's line in `metrics.jsonl` holds its validation loss, and no checkpoint stands before
/// the lines and events up to its step do.
package final class Recorder: @unchecked Sendable {
    // @unchecked: `tasks` and `isFinishing` are guarded by `condition`; all else belongs to the thread.
    package enum Task {
        /// Means over the workers, in seconds.
        case phases(step: UInt64, [(name: String, seconds: Double)])
        /// An evaluated state is kept as a checkpoint where it is the best so far.
        case step(StepRecord, evaluation: (loss: Double, state: CheckpointState)?)
        case checkpoint(CheckpointState)
        case sample(step: UInt64, FloatBuffer)
    }

    private let configuration: RunConfiguration
    private let vocabulary: Vocabulary
    private let store: CheckpointStore
    private let report: @Sendable (RecorderReport) -> Void
    private let condition = NSCondition()
    private let isHurried = Atomic<Bool>(false)
    private let done = DispatchSemaphore(value: 0)
    private var tasks: [Task] = []
    private var isFinishing = false
    private var metrics: MetricsWriter
    private var validations: ValidationHistory
    /// The run has ended with a step before those that still come: nothing of them is recorded, so that it ends on the
    /// same step however far the workers have got meanwhile.
    private var isExhausted = false
    /// nil where the file could not be made.
    private var events: EventFileWriter?
    private var hasWarnedOfEvents = false
    private var evaluated: (step: UInt64, loss: Double)?
    /// The step of the newest checkpoint of this start.
    private var written: UInt64?
    /// Lines that the disk did not take: they are written as soon as it does, in order.
    private var unwritten: [(record: StepRecord, validationLoss: Double?)] = []
    /// Lines that wait for the disk at most, some 10 MB: after that the newest are lost.
    private static let maximumUnwritten = 1 << 16

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

    package func post(_ task: Task) {
        condition.lock()
        // A sample that nobody has got to yet is replaced by the newer one, and a waiting checkpoint too: memory stays
        // bounded however slow the disk is.
        switch task {
        case .sample: tasks.removeAll { if case .sample = $0 { true } else { false } }
        case .checkpoint: tasks.removeAll { if case .checkpoint = $0 { true } else { false } }
        case .step, .phases: break
        }
        tasks.append(task)
        // The phases of a step come with the record of the next: one waking for both.
        if case .phases = task {} else { condition.signal() }
        condition.unlock()
    }

    /// Waits for all that was posted. In a hurry, samples are left out.
    package func finish(hurried: Bool) {
        if hurried { isHurried.store(true, ordering: .relaxed) }
        condition.lock()
        isFinishing = true
        condition.signal()
        condition.unlock()
        done.wait()
    }

    private func work() {
        while true {
            condition.lock()
            if tasks.isEmpty {
                condition.unlock()
                flushEvents()
                condition.lock()
            }
            while tasks.isEmpty && !isFinishing { condition.wait() }
            guard !tasks.isEmpty else {
                condition.unlock()
                finishLines()
                done.signal()
                return
            }
            let task = tasks.removeFirst()
            condition.unlock()
            if isExhausted { continue }
            switch task {
            case .step(let record, let evaluation): write(record, evaluation)
            case .phases(let step, let phases):
                events?.append(phases: phases, step: step)
            case .checkpoint(let state): write(state)
            case .sample(let step, let parameters): sample(step, parameters)
            }
        }
    }

    private func write(_ record: StepRecord, _ evaluation: (loss: Double, state: CheckpointState)?) {
        let loss = evaluation?.loss
        var isBest = false
        if let loss {
            isBest = validations.add(loss)
            evaluated = (record.step, loss)
            report(.evaluated(step: record.step, loss: loss, best: validations.best!))
        }
        if unwritten.count < Self.maximumUnwritten { unwritten.append((record, loss)) }
        writeLines()
        events?.append(record, validationLoss: loss)
        guard let state = evaluation?.state else { return }
        if isBest { write(state) }
        if let patience = configuration.upkeep.patience, validations.stale >= patience {
            write(state)
            isExhausted = true
            report(.exhausted(step: record.step, evaluations: validations.stale))
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

    /// Writes the lines that wait, up to the first that the disk does not take: one warning for each time that it fails.
    private func writeLines() {
        let waited = unwritten.count > 1
        while let (record, loss) = unwritten.first {
            do {
                try metrics.append(record, validationLoss: loss)
            } catch {
                if !waited { report(.metricsFailed(reason: "\(error)")) }
                return
            }
            unwritten.removeFirst()
        }
    }

    private func finishLines() {
        guard !unwritten.isEmpty else { return }
        writeLines()
        if !unwritten.isEmpty {
            report(.metricsFailed(reason: "\(unwritten.count) lines of metrics were never written"))
        }
    }

    private func write(_ state: CheckpointState) {
        guard written != state.step else { return }
        flushEvents()
        do {
            let loss = evaluated.flatMap { $0.step == state.step ? $0.loss : nil }
            let checkpoint = try CheckpointMapping.checkpoint(
                state, configuration: configuration, vocabulary: vocabulary, validationLoss: loss,
                best: validations.best)
            let url = try store.write(checkpoint, keep: configuration.upkeep.keep)
            written = state.step
            report(.checkpointed(step: state.step, path: url.path))
        } catch {
            report(.checkpointFailed(step: state.step, reason: "\(error)"))
        }
    }

    private func sample(_ step: UInt64, _ parameters: FloatBuffer) {
        guard !isHurried.load(ordering: .relaxed) else { return }
        let engine = ForwardEngine(shape: configuration.model, parameters: parameters, threads: 1)
        guard let sampler = try? Sampler(temperature: 0.8, seed: configuration.seed ^ step) else { return }
        var generator = TextGenerator(
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
