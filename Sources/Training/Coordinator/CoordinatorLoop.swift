import Coordination
import Corpus
import Foundation
import Kernels
import LanguageModel
package import ZeroMQ

/// What other threads tell the coordinator's thread.
package enum CoordinatorEvent: Sendable {
    /// Stop after writing a checkpoint: the name of the signal.
    case interrupted(String)
    /// A worker process of this machine ended.
    case processEnded(name: String, process: UInt32, description: String)
    case failed(String)
    case recorded(RecorderReport)
    /// A worker process of this machine ended for good, and others go on or may come. `last` is the error where nobody
    /// is there: nil while there are processes of this machine.
    case givenUp(String, last: String?, remaining: Int)
    /// For the log.
    case noted(String)
    /// For the user too.
    case warned(String)
}

/// The coordinator's one thread: its socket, its replica and the machine that decides.
///
/// Bytes and floats are here, decisions are in ``CoordinatorMachine``. Everything slow (files, samples) is the
/// ``Recorder``'s, on copies.
package final class CoordinatorLoop {
    /// How a run ended that did not fail: an interruption with the name of the signal.
    package enum Ending: Sendable, Equatable {
        case finished
        case interrupted(String)
    }

    /// Why the run could not go on.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    var job: TrainingJob
    let configuration: RunConfiguration
    let chunks: ChunkLayout
    let inbox: Inbox<CoordinatorEvent>
    let startRecorder: (TrainingJob, [StepRecord]) throws -> Recorder
    var recorder: Recorder?
    let onBan: (String) -> Void
    let onAbsence: (String) -> Void
    let progress: ProgressReporter
    var machine: CoordinatorMachine
    var fold: GradientFold
    var carries: CarryStore
    var losses: [Double]
    var averages: AverageStore
    /// The memory of workers that share it with this coordinator: each was able to open the other's.
    var sharedMemory: [WorkerID: OpenedMemory] = [:]
    /// Memory for workers to try whether they can open it.
    lazy var memoryProbe = try? SharedMemory(byteCount: MemoryProbe.byteCount)
    /// The sum of squares of each chunk of the open step's average that is complete.
    var squares: [Double]
    /// Buffers for copies of parameters and slots, which files, evaluations and samples are made from.
    var statePool: BufferPool
    /// The open step, once it is decided, and those before it that some worker has not applied yet.
    var decided: [UInt64: DecidedStep] = [:]
    var snapshots = SnapshotStore()
    let encodedConfiguration: [UInt8]
    var failure: Failure?
    /// A message has left in part: what followed would be read as the rest of it.
    var isCutShort = false
    var ending: Ending?
    var stepStarted = ContinuousClock.now
    let started = ContinuousClock.now
    var saidWaiting: (step: UInt64, time: ContinuousClock.Instant)?
    var upkeep: UpkeepClock
    var recalled: RecalledState?
    var admission: Admission?
    let keepsWorkers: Bool
    /// For workers that join.
    var faults = FaultHandout()
    lazy var judge = ShardJudge(configuration: configuration, chunks: chunks)
    /// Workers to whom nothing could be sent just now.
    var unreachable: [WorkerID] = []
    var names: [WorkerID: String] = [:]
    var absences: Absences
    /// The loss of each row of the held-out text, in nats.
    var rowLosses: [Double]
    /// What is to be recorded of the last committed step, where its evaluation is still under way.
    var awaitingRecord: Upkeep?

    /// - Parameters:
    ///   - startRecorder: called once it is known from which step the run goes on, with the records that the workers
    ///     kept of steps whose lines are missing.
    ///   - onBan: told the name of a worker of this host that is not let in again.
    ///   - onAbsence: told the name of a worker that was lost and for long did not come back.
    package init(
        job: TrainingJob, settings options: CoordinatorSettings, inbox: Inbox<CoordinatorEvent>,
        progress: ProgressReporter, onBan: @escaping (String) -> Void, onAbsence: @escaping (String) -> Void,
        startRecorder: @escaping (TrainingJob, [StepRecord]) throws -> Recorder
    ) throws {
        self.job = job
        self.inbox = inbox
        self.startRecorder = startRecorder
        self.progress = progress
        self.onBan = onBan
        self.onAbsence = onAbsence
        absences = Absences(limit: .seconds(10 * options.workerTimeout))
        keepsWorkers = options.keepsWorkers
        configuration = job.configuration
        chunks = job.replica.chunks
        encodedConfiguration = Array(try JSONEncoder().encode(job.configuration))
        var settings = CoordinatorMachine.Configuration(
            run: configuration.runNumber, shards: configuration.shards, chunks: chunks.count,
            snapshotParts: job.replica.partCount, totalSteps: configuration.totalSteps,
            carryPeriod: configuration.stateless ? 1 : configuration.stepsPerEpoch)
        settings.minimumWorkers = options.minimumWorkers
        settings.silenceLimit = UInt64(options.workerTimeout * 1e9)
        settings.heartbeatInterval = UInt64(options.heartbeat * 1e9)
        settings.auditsPerMillion = UInt64(options.audit * 1e6)
        settings.term = job.term
        settings.segments = job.validation?.batch ?? 0
        settings.segmentsPerLease = job.validation.map(Self.segmentsPerLease) ?? 1
        let ceiling = job.pendingEvaluation ?? .max
        // What a worker kept can be newer than the checkpoint only if the run went on after it.
        let recovery =
            options.seeksWorkers && !job.digestsBeyond.isEmpty && ceiling > job.step
            ? Recovery(knownDigests: job.digestsBeyond, checkpoint: job.step, ceiling: ceiling) : nil
        machine = CoordinatorMachine(settings, step: job.step, recovery: recovery)
        fold = GradientFold(tree: machine.tree, chunks: chunks)
        carries = job.carries
        losses = Array(repeating: 0, count: configuration.shards)
        rowLosses = Array(repeating: 0, count: job.validation?.batch ?? 0)
        averages = AverageStore(floats: chunks.floats)
        squares = Array(repeating: 0, count: chunks.count)
        statePool = BufferPool(count: chunks.floats)
        upkeep = UpkeepClock(configuration.upkeep, stepsPerEpoch: configuration.stepsPerEpoch, step: job.step)
        committedStep = job.step
    }

    /// Serves until all steps are done or someone interrupts; then a checkpoint of the last committed step stands.
    ///
    /// - Parameters:
    ///   - socket: a bound router, created on this thread.
    ///   - admission: says whose key may speak.
    package func run(socket: borrowing Socket, admission: Admission) throws -> Ending {
        self.admission = admission
        if machine.isRecovering {
            progress.event(machine.waitingReason(now: clock)!)
        } else {
            try begin()
        }
        var lastTick = ContinuousClock.now
        while ending == nil && failure == nil && !machine.isFinished {
            _ = try Poller.wait(socket: socket, waker: inbox.waker, milliseconds: 50)
            var budget = 256
            while budget > 0, failure == nil, !machine.isFinished {
                guard let message = try socket.receive(maximumParts: 3) else { break }
                handle(message, socket)
                budget -= 1
            }
            for event in inbox.drain() { handle(event, socket) }
            let now = ContinuousClock.now
            if now - lastTick >= .milliseconds(50) {
                lastTick = now
                perform(machine.tick(now: clock), socket)
                sayWhatIsAwaited()
                tellOfAbsences(now: now)
                if progress.monitor.wantsStatus() { progress.monitor.cluster(machine.status(now: clock)) }
            }
        }
        // An evaluation that was under way is left out.
        record()
        // The checkpoint of the end, of the interruption, or of the last good step.
        if savesState, parametersAreFinite() { checkpoint() }
        if let failure {
            // Workers of a coordinator that fails are told, unless they have a newer one.
            self.failure = nil
            if savesState, !isCutShort { try dismissWorkers(socket) }
            throw failure
        }
        if !(keepsWorkers && ending == .interrupted("SIGTERM")) { try dismissWorkers(socket) }
        return ending ?? .finished
    }

    /// Tells all workers that the run is over, and waits for their goodbyes, but not for long.
    ///
    /// When a connection ends, the transport drops what its reader has not taken yet: of a coordinator that is gone at once
    /// a busy worker would not hear that it is done, and look for another one.
    private func dismissWorkers(_ socket: borrowing Socket) throws(ZeroMQError) {
        perform(machine.finish(now: clock), socket)
        var present = Set(machine.workers)
        let deadline = ContinuousClock.now + Self.farewellLimit
        while !present.isEmpty, ContinuousClock.now < deadline {
            _ = try Poller.wait(socket: socket, milliseconds: 50)
            // Nothing else is taken in: the last state is on its way to the disk.
            while let received = try socket.receive(maximumParts: 3) {
                guard received.partCount > 0, let (message, envelope) = try? Wire.decode(received.bytes(0)) else {
                    continue
                }
                if message == .goodbye, RoutingIdentity.worker(received.routingID) == envelope.worker {
                    present.remove(envelope.worker)
                }
            }
        }
    }

    /// A worker that stands still hears of the end no more.
    private static let farewellLimit = Duration.seconds(2)

    /// Waits for all that was to be written. In a hurry, samples are left out.
    package func finishRecording(hurried: Bool) { recorder?.finish(hurried: hurried) }

    /// The run goes on from the job's state: the files follow.
    func begin() throws {
        machine.digested(step: job.step, digest: job.replica.digest)
        committedStep = job.step
        upkeep = UpkeepClock(configuration.upkeep, stepsPerEpoch: configuration.stepsPerEpoch, step: job.step)
        let unevaluated = job.takeHistory()
        let records = repeatEvaluation(recalled?.history.map { $0.record(configuration) } ?? [], unevaluated)
        recorder = try startRecorder(job, records)
        planEvaluation()
        recalled = nil
        stepStarted = .now
    }

    /// Steps committed.
    package var step: UInt64 { committedStep }
    var committedStep: UInt64 = 0
    /// Whether the state is to be trusted at the end, and there is one.
    var savesState = true

    var clock: UInt64 { (ContinuousClock.now - started).wholeNanoseconds }

    private func tellOfAbsences(now: ContinuousClock.Instant) {
        for name in absences.overdue(now: now) where !names.values.contains(name) { onAbsence(name) }
    }

    // MARK: Events

    func handle(_ event: CoordinatorEvent, _ socket: borrowing Socket) {
        switch event {
        case .interrupted(let signal): ending = .interrupted(signal)
        case .failed(let reason): failure = failure ?? Failure(description: reason)
        case .processEnded(let name, let process, let description):
            // One of another host may bear the same name.
            for worker in machine.workers(named: name) where machine.hello(of: worker)?.process == process {
                perform(machine.lose(worker, description, now: clock), socket)
            }
            absences.end(name)
        case .recorded(let report):
            progress.recorded(report)
            switch report {
            case .exhausted: ending = .finished
            case .metricsOverdue(let lines):
                let reason =
                    "\(job.folder.metrics.path): \(lines) lines waited for the disk, as many as are kept in memory: go "
                    + "on with --resume when it takes them"
                failure = failure ?? Failure(description: reason)
            default: break
            }
        case .givenUp(let text, let last, let remaining):
            if let last, machine.workers.isEmpty {
                failure = failure ?? Failure(description: last)
                break
            }
            let isMissed = !machine.hasStarted && remaining < machine.configuration.minimumWorkers
            progress.warning(text + (isMissed ? ": the first step waits for one less" : ""))
            perform(machine.expectAtMost(remaining, now: clock), socket)
        case .noted(let text): progress.event(text)
        case .warned(let text): progress.warning(text)
        }
    }

    func handle(_ received: borrowing ReceivedMessage, _ socket: borrowing Socket) {
        guard let sender = RoutingIdentity.worker(received.routingID), received.partCount >= 1 else {
            complain("a message of \(received.partCount) parts came from a peer that is no worker: discarded")
            return
        }
        // For a member the name says enough.
        stranger = names[sender] == nil ? received.peerAddress : nil
        defer { stranger = nil }
        guard let (message, envelope) = vetted(received, from: sender, socket) else { return }
        if case .statusRequest = message {
            // Whoever may reach this socket may ask; nobody who has gone is missed.
            let answer = Message.status(progress.monitor.statusAnswer { machine.status(now: clock) })
            _ = try? socket.send(to: RoutingIdentity.bytes(sender), control: Wire.encode(answer, envelope))
            return
        }
        let payload = received.partCount > 1 ? received.byteCount(1) : 0
        guard received.partCount <= 2, payload == expectedPayload(message) else {
            perform(machine.violated(sender, "sent a payload of \(payload) bytes", now: clock), socket)
            return
        }
        if case .gradient(let part) = message, let place = part.memory {
            return takeLent(part, at: place, envelope, socket)
        }
        guard payload > 0 else { return take(message, envelope, payload: nil, socket) }
        received.withBytes(1) { take(message, envelope, payload: $0, socket) }
    }

    /// Decodes a message, and refuses the sender of one that is malformed, in another's name, or of a key that may not
    /// speak.
    ///
    /// - Returns: nil for a message that is not to be acted on.
    private func vetted(
        _ received: borrowing ReceivedMessage, from sender: WorkerID, _ socket: borrowing Socket
    ) -> (Message, Envelope)? {
        let message: Message
        let envelope: Envelope
        do throws(WireError) {
            // Before it is copied.
            guard received.byteCount(0) <= Wire.maximumControlBytes else { throw WireError.outOfBounds("length") }
            (message, envelope) = try Wire.decode(received.bytes(0))
        } catch {
            refuse(sender, error, socket)
            return nil
        }
        // The transport vouches for the routing id; the envelope has to agree.
        guard envelope.worker == sender else {
            perform(machine.violated(sender, "spoke in another's name", now: clock), socket)
            return nil
        }
        // A key may have been taken off the allowlist while its connection stands.
        guard admission?.allows(received.sender) ?? true else {
            let reason = "its key is not, or no longer, on the coordinator's allowlist"
            perform([.refuse(sender, Refusal(code: .sessionBroken, reason: reason))], socket)
            perform(machine.lose(sender, reason, now: clock), socket)
            return nil
        }
        return (message, envelope)
    }

    /// Takes a gradient from where its worker computed it.
    private func takeLent(
        _ part: GradientPart, at place: SharedPlace, _ envelope: Envelope, _ socket: borrowing Socket
    ) {
        let worker = envelope.worker
        // Nothing of a worker that was lost is opened any more.
        guard machine.hello(of: worker) != nil else { return take(.gradient(part), envelope, payload: nil, socket) }
        do throws(SharedMemoryError) {
            guard let gradient = try sharedMemory[worker]?.buffer(at: place, count: chunks.floats) else {
                return perform(machine.violated(worker, "shares memory unasked", now: clock), socket)
            }
            take(
                .gradient(part), envelope, payload: gradient.bytes(chunks.range(Int(part.chunk))), lent: gradient,
                socket)
        } catch {
            let reason = "its memory \(error)"
            perform([.refuse(worker, Refusal(code: .sessionBroken, reason: reason))], socket)
            perform(machine.lose(worker, reason, now: clock), socket)
        }
    }

    /// Hands the machine a message, and of the floats behind it what it asks for.
    ///
    /// - Parameters:
    ///   - payload: nil where the message has none.
    ///   - lent: the gradient that the payload is a part of, where it stays.
    private func take(
        _ message: Message, _ envelope: Envelope, payload: UnsafeRawBufferPointer?, lent: FloatBuffer? = nil,
        _ socket: borrowing Socket
    ) {
        let digest = payload.map { machine.wantsDigest(of: message) ? Kernels.digest($0) : 0 } ?? 0
        var isFinite = payload.map { Kernels.isFinite($0) } ?? true
        if case .nodeResult(let result) = message {
            isFinite = isFinite && result.lossBits.allSatisfy { Double(bitPattern: $0).isFinite }
        }
        let actions = machine.received(message, envelope, digest: digest, isFinite: isFinite, now: clock)
        perform(actions, socket, message: message, payload: payload, lent: lent)
        // What is discarded may come again and again.
        if case .discard? = actions.first { return }
        if let name = names[envelope.worker] {
            progress.monitor.heard(message, from: envelope.worker, name: name)
        }
    }

    func expectedPayload(_ message: Message) -> Int {
        switch message {
        case .gradient(let part):
            Int(part.chunk) >= chunks.count
                ? -1 : part.memory == nil ? chunks.range(Int(part.chunk)).count * 4 : 0
        case .nodeResult(let result): result.lossBits.count * configuration.carryBytes
        case .carry: configuration.carryBytes
        case .snapshot(let part):
            Int(part.part) < job.replica.partCount ? job.replica.part(Int(part.part)).range.count * 4 : -1
        default: 0
        }
    }

    func refuse(_ worker: WorkerID, _ error: WireError, _ socket: borrowing Socket) {
        guard case .otherVersion = error else {
            return perform(machine.violated(worker, error.description, now: clock), socket)
        }
        perform([.refuse(worker, Refusal(code: .version, reason: error.description))], socket)
        perform(machine.lose(worker, error.description, now: clock), socket)
    }

    var complaints = Complaints()
    /// The address of the peer whose message is being handled, where it has not joined and the address is known.
    var stranger: String?

    func complain(_ text: String) {
        if let line = complaints.line(text, now: clock) { progress.event(line) }
    }

    /// Says why nothing happens: at once where no step can begin, after two seconds where one stands still.
    func sayWhatIsAwaited() {
        let now = clock
        let isIdle = machine.readyWorkers.isEmpty || !machine.hasStarted
        guard isIdle || machine.stepAge(now: now) ?? 0 > 2_000_000_000, !machine.isRecovering,
            let reason = machine.waitingReason(now: now)
        else { return }
        if let said = saidWaiting, said.step == machine.step {
            // One line a step, and one every half minute of a long wait.
            guard !isIdle, ContinuousClock.now - said.time > .seconds(30) else { return }
        }
        saidWaiting = (machine.step, .now)
        progress.event(reason)
    }
}
