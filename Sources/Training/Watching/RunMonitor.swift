package import Coordination
import Foundation
import Synchronization

/// Gathers what happens in a run for whoever watches it. Fed by the coordinator's thread, read by any.
///
/// Memory is bounded: events, steps, checkpoints and curves are kept up to a limit each.
package final class RunMonitor: Sendable {
    static let eventsKept = 200
    static let eventLength = 500
    static let stepsKept = 24
    static let checkpointsKept = 50
    /// Seconds between two looks at the cluster while nobody waits for one.
    private static let interval = Duration.seconds(1)
    /// A status is answered with the one before for so long.
    private static let answerInterval = Duration.milliseconds(100)
    private let timeout: Double

    struct WorkerFacts {
        var name: String
        /// On the coordinator's clock: when the last result of the open step came.
        var reported: Double?
        var spent = (computing: 0.0, waiting: 0.0, sending: 0.0)
        var hasSpent = false
    }

    private struct State {
        var snapshot: RunSnapshot
        var curve = Curve()
        var metrics = RunCounters()
        var workers: [WorkerID: WorkerFacts] = [:]
        var secondsPerStep: Double?
        var lastStatus: ContinuousClock.Instant?
        /// A reader waits for the cluster's state.
        var isAwaited = false
        var isOver = false
        /// Readers to be woken when it is there.
        var readers: [DispatchSemaphore] = []
        var answer: (time: ContinuousClock.Instant, bytes: [UInt8])?

        mutating func wakeReaders() {
            isAwaited = false
            for reader in readers { reader.signal() }
            readers = []
        }
    }

    private let state: Mutex<State>
    private let charactersPerStep: Double
    private let charactersPerShard: Double
    private let trace: TraceWriter?
    private let time: @Sendable () -> Double

    /// - Parameters:
    ///   - folder: the run folder as the user would write it.
    ///   - trace: gets every step too.
    ///   - timeout: seconds that a reader waits for a look at most: the coordinator may be writing, or gone.
    ///   - time: seconds since 1970, for what is shown. No interval is measured by it, as it may be set back.
    package init(
        job: TrainingJob, folder: String, trace: TraceWriter? = nil, timeout: Double = 0.25,
        time: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) {
        let configuration = job.configuration
        charactersPerStep = Double(configuration.batch * configuration.window)
        charactersPerShard = Double(configuration.rowsPerShard * configuration.window)
        self.trace = trace
        self.timeout = timeout
        self.time = time
        let now = time()
        var snapshot = RunSnapshot(
            configuration: configuration, folder: folder, state: .waiting, step: job.step, time: now)
        snapshot.progress.bestValidationLoss = job.validations.best
        snapshot.progress.entropyBound = job.entropyBound
        state = Mutex(State(snapshot: snapshot))
    }

    // MARK: From the coordinator's thread

    /// The run goes on after `step`: what is on record up to there belongs to the curves.
    ///
    /// - Parameter folder: the run's.
    func began(after step: UInt64, folder: RunFolder) {
        var curve = Curve()
        var losses: [UInt64: Double] = [:]
        MetricsReader.read(folder.metrics) { record, validation in
            guard record.step <= step else { return }
            curve.append(record, validationLoss: validation)
            losses[record.step] = validation
        }
        let checkpoints = FinishedRun.checkpoints(folder.checkpoints, losses: losses)
        state.withLock { state in
            state.snapshot.checkpoints = checkpoints
            state.snapshot.progress.step = step
            state.snapshot.progress.validationLoss = curve.validations.last?.loss
            state.snapshot.progress.validationStep = curve.validations.last?.step
            state.curve = curve
        }
    }

    func event(_ text: String, _ kind: RunSnapshot.Event.Kind) {
        let now = time()
        let text = String(text.prefix(Self.eventLength))
        state.withLock { state in
            let number = (state.snapshot.events.last?.number ?? 0) + 1
            state.snapshot.events.append(.init(number: number, time: now, kind: kind, text: text))
            if state.snapshot.events.count > Self.eventsKept { state.snapshot.events.removeFirst() }
            if kind == .lost { state.metrics.workersLost += 1 }
            if kind == .joined { state.metrics.workersJoined += 1 }
        }
        trace?.event(text, at: now)
    }

    /// - Returns: what is shown of the run from now on.
    @discardableResult
    func committed(_ record: StepRecord) -> RunSnapshot.Progress {
        let now = time()
        let progress = state.withLock { state in
            let seconds = state.secondsPerStep.map { $0 + (record.stepSeconds - $0) * 0.1 } ?? record.stepSeconds
            state.secondsPerStep = seconds
            state.curve.append(record)
            state.metrics.committed(seconds: record.stepSeconds, characters: charactersPerStep)
            state.snapshot.state = .training
            var progress = state.snapshot.progress
            progress.step = record.step
            progress.epoch = record.epoch
            progress.loss = record.loss
            progress.gradientNorm = record.gradientNorm
            progress.learningRate = record.learningRate
            progress.stepSeconds = record.stepSeconds
            progress.charactersPerSecond = charactersPerStep / seconds
            progress.remainingSeconds = Double(progress.totalSteps - min(record.step, progress.totalSteps)) * seconds
            state.snapshot.progress = progress
            state.snapshot.recentSteps.append(
                .init(
                    step: record.step, committed: now, seconds: record.stepSeconds, loss: record.loss,
                    gradientNorm: record.gradientNorm, charactersPerSecond: record.charactersPerSecond))
            if state.snapshot.recentSteps.count > Self.stepsKept { state.snapshot.recentSteps.removeFirst() }
            return progress
        }
        trace?.committed(record, at: now)
        return progress
    }

    func recorded(_ report: RecorderReport) {
        state.withLock { state in
            switch report {
            case .evaluated(let step, let loss, let best):
                state.snapshot.progress.validationLoss = loss
                state.snapshot.progress.validationStep = step
                state.snapshot.progress.bestValidationLoss = best
                state.curve.append(validation: loss, step: step)
            case .checkpointed(let step, let path, let kept):
                let progress = state.snapshot.progress
                state.snapshot.checkpoints.removeAll { $0.step == step || !kept.contains($0.step) }
                state.snapshot.checkpoints.append(
                    .init(
                        step: step, file: URL(fileURLWithPath: path).lastPathComponent,
                        validationLoss: progress.validationStep == step ? progress.validationLoss : nil))
                if state.snapshot.checkpoints.count > Self.checkpointsKept {
                    state.snapshot.checkpoints.removeFirst()
                }
                state.metrics.checkpoints += 1
            case .sampled(let step, let text): state.snapshot.sample = .init(step: step, text: text)
            case .checkpointFailed, .metricsFailed, .metricsLost, .metricsOverdue, .exhausted: break
            }
        }
    }

    /// A worker's message that the machine has taken in.
    func heard(_ message: Message, from worker: WorkerID, name: String) {
        let now = time()
        switch message {
        case .nodeResult:
            state.withLock { $0.workers[worker, default: WorkerFacts(name: name)].reported = now }
        case .applied(let applied) where applied.times.total > 0:
            let work = state.withLock { state -> RunSnapshot.Step.Work in
                let facts = state.workers[worker, default: WorkerFacts(name: name)]
                let work = Self.work(of: applied.times, name: name, ended: now, reported: facts.reported)
                state.workers[worker] = facts.adding(work)
                state.metrics.worked(work)
                if let index = state.snapshot.recentSteps.lastIndex(where: { $0.step == applied.step }) {
                    state.snapshot.recentSteps[index].workers.append(work)
                }
                return work
            }
            trace?.worked(work, threads: applied.times.threads, ended: now, step: applied.step)
        default: break
        }
    }

    /// Means over the workers whose account of the step has come, in seconds; empty where none has.
    func phases(step: UInt64) -> [(name: String, seconds: Double)] {
        let works = state.withLock { $0.snapshot.recentSteps.last { $0.step == step }?.workers ?? [] }
        guard !works.isEmpty else { return [] }
        return RunCounters.phases.enumerated().map { index, name in
            (name, works.reduce(0) { $0 + $1.phases[index] } / Double(works.count))
        }
    }

    /// Whether the cluster's state is to be given now: where a reader waits for it, else once a second.
    func wantsStatus() -> Bool {
        state.withLock { state in
            state.isAwaited || state.lastStatus.map { ContinuousClock.now - $0 >= Self.interval } ?? true
        }
    }

    func cluster(_ status: ClusterStatus) {
        state.withLock { state in
            state.lastStatus = .now
            let present = Set(status.members.map(\.worker))
            state.workers = state.workers.filter { present.contains($0.key) }
            state.snapshot.take(status, facts: state.workers, charactersPerShard: charactersPerShard)
            state.wakeReaders()
        }
    }

    /// The run is over: no reader waits for the cluster any more, and the trace is completed.
    package func ended(_ ending: RunSnapshot.State) {
        state.withLock { state in
            state.snapshot.state = ending
            state.snapshot.openStep = nil
            state.snapshot.progress.remainingSeconds = ending == .finished ? 0 : nil
            state.wakeReaders()
            state.isOver = true
        }
        trace?.finish()
    }

    /// Where the last part of a step's time went. The clock of the worker is not known here: its times are laid end to
    /// end before the moment at which its answer came.
    private static func work(of times: ComputeTimes, name: String, ended: Double, reported: Double?)
        -> RunSnapshot.Step.Work
    {
        // Whole microseconds: every reader gets these numbers several times a second, and they are short so.
        func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1000) / 1e6 }
        let awaited = times.awaitingCommit / 1000
        let computed = ended - seconds(times.update) - seconds(times.awaitingCommit)
        let sending = reported.map { min(awaited, UInt64(max(0, $0 - computed) * 1e6)) } ?? 0
        return RunSnapshot.Step.Work(
            worker: name, began: ended - seconds(times.total), awaitingLease: seconds(times.awaitingLease),
            forward: seconds(times.forward), backward: seconds(times.backward), sending: Double(sending) / 1e6,
            awaitingCommit: Double(awaited - sending) / 1e6, update: seconds(times.update))
    }

    // MARK: From any thread

    /// What is at hand: the cluster as the coordinator's thread told of it last.
    package func snapshot() -> RunSnapshot {
        let now = time()
        return state.withLock { state in
            state.snapshot.time = now
            return state.snapshot
        }
    }

    /// With the cluster as it is now: the coordinator's thread is asked, and waited for a little. What is at hand may be
    /// many steps old.
    package func freshSnapshot() -> RunSnapshot {
        let reader = DispatchSemaphore(value: 0)
        let isOver = state.withLock { state in
            guard !state.isOver else { return true }
            state.isAwaited = true
            state.readers.append(reader)
            return false
        }
        // By a clock that nobody sets, as an NSCondition does not wait.
        if !isOver, reader.wait(timeout: .now() + timeout) == .timedOut {
            state.withLock { $0.readers.removeAll { $0 === reader } }
        }
        return snapshot()
    }

    /// Over all steps of the run, those before this start too.
    package var curve: Curve { state.withLock { $0.curve } }
    /// Since this start.
    package var counters: RunCounters { state.withLock { $0.metrics } }

    /// The snapshot as a `status` message carries it: bounded, and made at most ten times a second however many ask.
    ///
    /// - Parameter status: the cluster's state as it is now.
    func statusAnswer(_ status: () -> ClusterStatus) -> [UInt8] {
        let now = ContinuousClock.now
        if let answer = state.withLock({ $0.answer }), now - answer.time < Self.answerInterval { return answer.bytes }
        cluster(status())
        let bytes = snapshot().encoded(limit: Wire.maximumStatus)
        state.withLock { $0.answer = (now, bytes) }
        return bytes
    }
}

extension RunMonitor.WorkerFacts {
    /// The last ten or so steps count.
    fileprivate func adding(_ work: RunSnapshot.Step.Work) -> Self {
        var facts = self
        let keep = hasSpent ? 0.9 : 0
        facts.spent.computing = spent.computing * keep + work.forward + work.backward + work.update
        facts.spent.waiting = spent.waiting * keep + work.awaitingLease + work.awaitingCommit
        facts.spent.sending = spent.sending * keep + work.sending
        facts.hasSpent = true
        facts.reported = nil
        return facts
    }
}
