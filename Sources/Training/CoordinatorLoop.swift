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
    case processEnded(name: String, description: String)
    case failed(String)
    case recorded(RecorderReport)
    /// For the log.
    case noted(String)
}

/// The coordinator's one thread: its socket, its replica and the machine that decides.
///
/// Bytes and floats are here, decisions are in ``CoordinatorMachine``. Everything slow (files, evaluation, samples) is
/// the ``Recorder``'s, on copies.
package final class CoordinatorLoop {
    package enum Ending: Sendable, Equatable {
        case finished
        case interrupted(String)
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private var job: TrainingJob
    private let configuration: RunConfiguration
    private let chunks: ChunkLayout
    private let inbox: Inbox<CoordinatorEvent>
    private let startRecorder: (TrainingJob, [StepRecord]) throws -> Recorder
    private var recorder: Recorder?
    private let onBan: (String) -> Void
    private let progress: ProgressReporter
    private var machine: CoordinatorMachine
    private var fold: GradientFold
    private var carries: CarryStore
    private var losses: [Double]
    private var averages: [UInt64: FloatBuffer] = [:]
    private var averagePool: BufferPool
    private var scalars: [UInt64: UpdateScalars] = [:]
    private var snapshots: [WorkerID: [FloatBuffer]] = [:]
    private var newestSnapshot: (step: UInt64, buffers: [FloatBuffer])?
    private let encodedConfiguration: [UInt8]
    private var failure: Failure?
    private var ending: Ending?
    private var stepStarted = ContinuousClock.now
    private let started = ContinuousClock.now
    private var saidWaiting: (step: UInt64, time: ContinuousClock.Instant)?
    private var upkeep: UpkeepClock
    private var recalled: RecalledState?
    private var admission: Admission?
    private let keepsWorkers: Bool
    private lazy var judge = ShardJudge(configuration: configuration, chunks: chunks)

    /// - Parameters:
    ///   - startRecorder: called once it is known from which step the run goes on, with the records that the workers
    ///     kept of steps whose lines are missing.
    ///   - onBan: told the name of a worker that is not let in again.
    package init(
        job: TrainingJob, settings options: CoordinatorSettings, inbox: Inbox<CoordinatorEvent>,
        progress: ProgressReporter, onBan: @escaping (String) -> Void,
        startRecorder: @escaping (TrainingJob, [StepRecord]) throws -> Recorder
    ) throws {
        self.job = job
        self.inbox = inbox
        self.startRecorder = startRecorder
        self.progress = progress
        self.onBan = onBan
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
        // What a worker kept can be newer than the checkpoint only if the run went on after it.
        let recovery =
            options.seeksWorkers && !job.digestsBeyond.isEmpty
            ? Recovery(knownDigests: job.digestsBeyond, checkpoint: job.step) : nil
        machine = CoordinatorMachine(settings, step: job.step, recovery: recovery)
        fold = GradientFold(tree: machine.tree, chunks: chunks)
        carries = job.carries
        losses = Array(repeating: 0, count: configuration.shards)
        averagePool = BufferPool(count: chunks.floats)
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
                if progress.monitor.wantsStatus() { progress.monitor.cluster(machine.status(now: clock)) }
            }
        }
        // The checkpoint of the end, of the interruption, or of the last good step.
        if savesState { checkpoint() }
        if let failure {
            // Workers of a coordinator that fails are told, unless they have a newer one.
            let farewell = machine.finish(now: clock)
            self.failure = nil
            if savesState { perform(farewell, socket) }
            throw failure
        }
        if !(keepsWorkers && ending == .interrupted("SIGTERM")) { perform(machine.finish(now: clock), socket) }
        return ending ?? .finished
    }

    /// Waits for all that was to be written. In a hurry, evaluations and samples are left out.
    package func finishRecording(hurried: Bool) { recorder?.finish(hurried: hurried) }

    /// The run goes on from the job's state: the files follow.
    private func begin() throws {
        let records = recalled?.history.map { $0.record(configuration) } ?? []
        recorder = try startRecorder(job, records)
        machine.digested(step: job.step, digest: job.replica.digest)
        committedStep = job.step
        upkeep = UpkeepClock(configuration.upkeep, stepsPerEpoch: configuration.stepsPerEpoch, step: job.step)
        recalled = nil
        stepStarted = .now
    }

    /// Steps committed.
    package var step: UInt64 { committedStep }
    private var committedStep: UInt64 = 0
    /// Whether the state is to be trusted at the end, and there is one.
    private var savesState = true

    private var clock: UInt64 {
        let elapsed = (ContinuousClock.now - started).components
        return UInt64(elapsed.seconds) * 1_000_000_000 + UInt64(elapsed.attoseconds / 1_000_000_000)
    }

    // MARK: Events

    private func handle(_ event: CoordinatorEvent, _ socket: borrowing Socket) {
        switch event {
        case .interrupted(let signal): ending = .interrupted(signal)
        case .failed(let reason): failure = failure ?? Failure(description: reason)
        case .processEnded(let name, let description):
            for worker in machine.workers(named: name) {
                perform(machine.lose(worker, description, now: clock), socket)
            }
        case .recorded(let report):
            progress.recorded(report)
            if case .exhausted = report { ending = .finished }
        case .noted(let text): progress.event(text)
        }
    }

    private func handle(_ received: borrowing ReceivedMessage, _ socket: borrowing Socket) {
        guard let sender = RoutingIdentity.worker(received.routingID), received.partCount >= 1 else {
            complain("a message of \(received.partCount) parts came from a peer that is no worker: discarded")
            return
        }
        let message: Message
        let envelope: Envelope
        do throws(WireError) {
            // Before it is copied.
            guard received.byteCount(0) <= Wire.maximumControlBytes else { throw WireError.outOfBounds("length") }
            (message, envelope) = try Wire.decode(received.bytes(0))
        } catch {
            refuse(sender, error, socket)
            return
        }
        // The transport vouches for the routing id; the envelope has to agree.
        guard envelope.worker == sender else {
            perform(machine.violated(sender, "spoke in another's name", now: clock), socket)
            return
        }
        // A key may have been taken off the allowlist while its connection stands.
        guard admission?.allows(received.sender) ?? true else {
            let reason = "its key is not, or no longer, on the coordinator's allowlist"
            perform([.refuse(sender, Refusal(code: .sessionBroken, reason: reason))], socket)
            perform(machine.lose(sender, reason, now: clock), socket)
            return
        }
        if case .statusRequest = message {
            // Whoever may reach this socket may ask; nobody who has gone is missed.
            let answer = Message.status(progress.monitor.statusAnswer())
            _ = try? socket.send(to: RoutingIdentity.bytes(sender), control: Wire.encode(answer, envelope))
            return
        }
        defer {
            if let name = names[sender] { progress.monitor.heard(message, from: sender, name: name) }
        }
        let payload = received.partCount > 1 ? received.byteCount(1) : 0
        guard received.partCount <= 2, payload == expectedPayload(message) else {
            perform(machine.violated(sender, "sent a payload of \(payload) bytes", now: clock), socket)
            return
        }
        if payload > 0 {
            received.withBytes(1) { bytes in
                let digest = machine.wantsDigest(of: message, from: sender) ? Kernels.digest(bytes) : 0
                var isFinite = Kernels.isFinite(bytes)
                if case .shardResult(let result) = message, !Double(bitPattern: result.lossBits).isFinite {
                    isFinite = false
                }
                perform(
                    machine.received(message, envelope, digest: digest, isFinite: isFinite, now: clock), socket,
                    message: message, payload: bytes)
            }
        } else {
            perform(machine.received(message, envelope, now: clock), socket, message: message)
        }
    }

    private func expectedPayload(_ message: Message) -> Int {
        switch message {
        case .gradient(let part): Int(part.chunk) < chunks.count ? chunks.range(Int(part.chunk)).count * 4 : -1
        case .shardResult, .carry: configuration.rowsPerShard * configuration.model.carryCount * 4
        case .snapshot(let part):
            Int(part.part) < job.replica.partCount ? job.replica.part(Int(part.part)).range.count * 4 : -1
        default: 0
        }
    }

    private func refuse(_ worker: WorkerID, _ error: WireError, _ socket: borrowing Socket) {
        guard case .otherVersion = error else {
            return perform(machine.violated(worker, error.description, now: clock), socket)
        }
        perform([.refuse(worker, Refusal(code: .version, reason: error.description))], socket)
        perform(machine.lose(worker, error.description, now: clock), socket)
    }

    private var complaints = Complaints()

    private func complain(_ text: String) {
        if let line = complaints.line(text, now: clock) { progress.event(line) }
    }

    // MARK: Actions

    private func perform(
        _ actions: [CoordinatorAction], _ socket: borrowing Socket, message: Message? = nil,
        payload: UnsafeRawBufferPointer? = nil
    ) {
        var committed: UInt64?
        var hasCommitted = false
        // What the machine is told meanwhile makes new messages, which must not leave before those decided already.
        var afterwards: [CoordinatorAction] = []
        for action in actions {
            if failure != nil { return }
            switch action {
            case .send(let worker, let item, let sequence, let acknowledged):
                send(item, to: worker, sequence: sequence, acknowledged: acknowledged, socket)
            case .refuse(let worker, let refusal):
                // Of a member, the eviction tells; a broken session is mended by joining anew.
                if names[worker] == nil, refusal.code != .sessionBroken {
                    complain("refused a peer that has not joined: \(refusal.reason)")
                }
                let envelope = Envelope(
                    run: configuration.runNumber, worker: worker, sequence: 0, acknowledged: 0)
                _ = try? socket.send(
                    to: RoutingIdentity.bytes(worker), control: Wire.encode(.refuse(refusal), envelope))
            case .takeSnapshot(let worker, let step):
                // A worker that greets again ends its earlier session, which may complete the step: the update first.
                if let done = committed {
                    update(done)
                    committed = nil
                }
                snapshots[worker] = snapshot(step: step)
            case .fold(let chunk, let changes):
                let average = averages[machine.step] ?? averagePool.take()
                averages[machine.step] = average
                fold.apply(changes, chunk: chunk, payload: payload!, into: average)
            case .acceptShard(let shard):
                guard case .shardResult(let result) = message else { preconditionFailure("only results are accepted") }
                losses[shard] = Double(bitPattern: result.lossBits)
                carries.accept(shard: shard, bytes: payload!)
            case .commit(let step):
                decide(step)
                committed = step
                hasCommitted = true
            case .discard: break
            case .joined(let worker): announce(worker)
            case .evict(let worker, let reason):
                snapshots[worker] = nil
                guard let name = names.removeValue(forKey: worker) else { break }
                progress.event("lost \(name) (\(reason)); \(machine.readyWorkers.count) left", .lost)
            case .abandonStep: abandonStep()
            case .settle, .verifyRecalled: afterwards.append(action)
            case .ban(_, let name): onBan(name)
            case .note(let text): progress.event(text)
            case .storeRecalledPart(let part): recall().store(part: part, payload!)
            case .storeRecalledCarry(let shard): recall().store(carry: shard, payload!)
            case .storeHistory(let records): recall().history = records
            case .recovered(let step): goOn(from: step)
            case .keptCheckpoint:
                recalled = nil
                progress.event("no worker holds a whole state newer than the checkpoint of step \(job.step)")
                attempt { try begin() }
            case .fail(let reason, let savesState):
                self.savesState = savesState
                failure = Failure(description: reason)
            case .finished: break
            }
        }
        if let committed, failure == nil { update(committed) }
        if hasCommitted { forgetOldSteps() }
        let lost = unreachable
        unreachable = []
        for worker in lost where failure == nil {
            perform(machine.lose(worker, "cannot be reached", now: clock), socket)
        }
        for action in afterwards where failure == nil {
            switch action {
            case .settle(let dispute): settle(dispute, socket)
            case .verifyRecalled: verifyRecalled(socket)
            default: preconditionFailure("no other action is put off")
            }
        }
    }

    /// Workers to whom nothing could be sent just now.
    private var unreachable: [WorkerID] = []

    private func attempt(_ body: () throws -> Void) {
        do { try body() } catch { failure = failure ?? Failure(description: "\(error)") }
    }

    // MARK: Recovery

    private func recall() -> RecalledState {
        let state = recalled ?? RecalledState(configuration: configuration)
        recalled = state
        return state
    }

    private func verifyRecalled(_ socket: borrowing Socket) {
        let state = recall()
        guard state.history.allSatisfy(\.isSound) else {
            failure = Failure(description: "a worker handed over a history that makes no sense: stop the workers")
            return
        }
        state.completeCarries()
        perform(
            machine.recalled(digest: state.replica.digest, stateDigest: state.replica.stateDigest, now: clock), socket)
        // Where it was refused, the next attempt starts from nothing.
        if machine.isRecovering { recalled = nil }
    }

    private func goOn(from step: UInt64) {
        let state = recall()
        job.replica = state.replica
        job.step = step
        carries = state.carries
        progress.recovered(step: step)
        attempt { try begin() }
    }

    // MARK: Doubt

    /// What was folded and pushed of the open step is void. What is still on its way keeps its own buffer.
    private func abandonStep() {
        fold.clear()
        averages[machine.step] = nil
    }

    private func settle(_ dispute: Dispute, _ socket: borrowing Socket) {
        progress.event(
            "step \(dispute.step + 1): computing shard\(dispute.shards.count == 1 ? "" : "s") "
                + dispute.shards.map(String.init).joined(separator: ", ") + " here, since "
                + (dispute.kind == .notFinite ? "a worker sent what is not finite" : "two workers differ"))
        let rows = configuration.rowsPerShard
        let resets = configuration.stateless || dispute.step % configuration.stepsPerEpoch == 0
        var verdict: ShardJudge.Verdict?
        var isFinite = true
        for shard in dispute.shards where isFinite {
            let tokens = job.batches.tokens(
                rows: shard * rows..<(shard + 1) * rows, window: configuration.window(step: dispute.step))
            let carry = carries.shard(shard)
            verdict = judge.judge(
                shard: shard, step: dispute.step, parameters: job.replica.parameters, tokens: tokens,
                carry: resets ? Array(repeating: 0, count: carry.count) : Array(carry))
            isFinite = verdict!.isFinite
        }
        perform(machine.settled(dispute, answer: verdict?.answer, isFinite: isFinite, now: clock), socket)
    }

    private var names: [WorkerID: String] = [:]

    private func announce(_ worker: WorkerID) {
        guard let hello = machine.hello(of: worker) else { return }
        names[worker] = hello.name
        snapshots[worker] = nil
        saidWaiting = nil
        if stepIsFresh { stepStarted = .now }
        let count = machine.readyWorkers.count
        progress.event(
            "\(hello.name) joined from \(hello.host), \(hello.threads) thread\(hello.threads == 1 ? "" : "s"); "
                + "\(count) worker\(count == 1 ? "" : "s")", .joined)
    }

    /// Before the first commit of this start there is no time of a step to measure.
    private var stepIsFresh: Bool { machine.step == job.step }

    private func snapshot(step: UInt64) -> [FloatBuffer] {
        if let newest = newestSnapshot, newest.step == step { return newest.buffers }
        let buffers = job.replica.buffers.map { $0.copy() }
        newestSnapshot = (step, buffers)
        return buffers
    }

    private func send(
        _ item: CoordinatorItem, to worker: WorkerID, sequence: UInt64, acknowledged: UInt64,
        _ socket: borrowing Socket
    ) {
        let envelope = Envelope(
            run: configuration.runNumber, worker: worker, sequence: sequence, acknowledged: acknowledged)
        let route = RoutingIdentity.bytes(worker)
        do {
            let outcome: SendOutcome
            switch item {
            case .welcome(let step, let snapshotParts):
                let welcome = Welcome(
                    run: configuration.runNumber, term: machine.configuration.term, step: step,
                    snapshotParts: UInt32(snapshotParts), heartbeatInterval: machine.configuration.heartbeatInterval,
                    silenceLimit: machine.configuration.silenceLimit, configuration: encodedConfiguration)
                outcome = try socket.send(to: route, control: Wire.encode(.welcome(welcome), envelope))
            case .snapshot(let part):
                let (buffer, range) = job.replica.part(Int(part.part))
                outcome = try socket.send(
                    to: route, control: Wire.encode(.snapshot(part), envelope), payload: snapshots[worker]![buffer],
                    range: range)
            case .lease(let lease):
                outcome = try socket.send(
                    to: route, control: Wire.encode(.lease(lease), envelope), bytes: leasePayload(lease))
            case .average(let part):
                outcome = try socket.send(
                    to: route, control: Wire.encode(.average(part), envelope), payload: averages[part.step]!,
                    range: chunks.range(Int(part.chunk)))
            case .commit(let step):
                outcome = try socket.send(
                    to: route,
                    control: Wire.encode(.commit(scalars[step]!.commit(step: step, record: facts[step]!)), envelope))
            case .heartbeat: outcome = try socket.send(to: route, control: Wire.encode(.heartbeat, envelope))
            case .finish: outcome = try socket.send(to: route, control: Wire.encode(.finish, envelope))
            case .recall(let recall):
                outcome = try socket.send(to: route, control: Wire.encode(.recall(recall), envelope))
            case .restart(let restart):
                outcome = try socket.send(to: route, control: Wire.encode(.restart(restart), envelope))
            }
            if outcome != .sent { unreachable.append(worker) }
        } catch {
            failure = failure ?? Failure(description: "\(error)")
        }
    }

    private func leasePayload(_ lease: Lease) -> [UInt8] {
        let rows = configuration.rowsPerShard
        let window = configuration.window(step: lease.step)
        let tokens = lease.shards.map { shard in
            job.batches.tokens(rows: Int(shard) * rows..<(Int(shard) + 1) * rows, window: window)
        }
        return LeasePayload.encode(tokens: tokens, carries: lease.carried.map { carries.shard(Int($0)) })
    }

    // MARK: The commit

    /// All of a step is there: the scalars that every replica will use.
    private func decide(_ step: UInt64) {
        let average = averages[step]!
        var squares = 0.0
        for chunk in 0..<chunks.count { squares += Kernels.sumOfSquares(average, range: chunks.range(chunk)) }
        let norm = squares.squareRoot()
        let loss = treeSum(losses, machine.tree) / Double(configuration.batch * configuration.window)
        guard norm.isFinite, loss.isFinite else {
            failure = Failure(
                description:
                    "the gradient of step \(step + 1) is not finite (norm \(norm), loss \(loss)): the last good "
                    + "step is kept; resume with a lower --learning-rate or --clip")
            return
        }
        let clip = configuration.clip
        let coefficient = clip > 0 ? min(1, clip / (norm + 1e-6)) : 1
        let rate = configuration.schedule.learningRate(
            base: configuration.optimizer.learningRate, step: step, stepsPerEpoch: configuration.stepsPerEpoch,
            totalSteps: configuration.totalSteps)
        scalars[step] = Optimizer.scalars(
            configuration: configuration.optimizer, update: step + 1, learningRate: rate, clipCoefficient: coefficient)
        latest = (loss, norm, rate)
        let elapsed = (ContinuousClock.now - stepStarted) / .nanoseconds(1)
        facts[step] = StepFacts(
            lossBits: loss.bitPattern, gradientNormBits: norm.bitPattern, nanoseconds: UInt64(max(1, elapsed)),
            workers: UInt32(machine.readyWorkers.count))
        carries.commit()
    }

    private var latest = (loss: 0.0, norm: 0.0, rate: 0.0)
    private var facts: [UInt64: StepFacts] = [:]

    /// The coordinator's own copy follows while the workers are at the next step.
    private func update(_ step: UInt64) {
        let replica = job.replica
        replica.apply(scalars[step]!, average: averages[step]!)
        committedStep = step + 1
        let digest = replica.digest
        machine.digested(step: step + 1, digest: digest)
        fold.clear()
        newestSnapshot = nil
        let now = ContinuousClock.now
        let seconds = (now - stepStarted) / .seconds(1)
        stepStarted = now
        let record = StepRecord(
            step: step + 1, epoch: configuration.epoch(step: step) + 1, loss: latest.loss,
            gradientNorm: latest.norm, learningRate: latest.rate,
            charactersPerSecond: Double(configuration.batch * configuration.window) / seconds, stepSeconds: seconds,
            workers: machine.readyWorkers.count, digest: digest)
        let due = upkeep.committed(step: step + 1, isLast: machine.isFinished)
        let evaluates = due.evaluate && job.validation != nil
        let state = evaluates || due.checkpoint ? checkpointState() : nil
        let phases = progress.monitor.phases(step: step)
        if !phases.isEmpty { recorder?.post(.phases(step: step, phases)) }
        recorder?.post(.step(record, evaluate: evaluates ? state : nil))
        if due.checkpoint, let state { recorder?.post(.checkpoint(state)) }
        if due.sample {
            recorder?.post(.sample(step: step + 1, state?.parameters ?? replica.parameters.copy()))
        }
        progress.committed(record)
    }

    private func forgetOldSteps() {
        let oldest = machine.oldestNeededStep
        averages = averages.filter { $0.key >= oldest }
        scalars = scalars.filter { $0.key >= oldest }
        facts = facts.filter { $0.key >= oldest }
    }

    /// An immutable copy of the state after the last committed step.
    private func checkpointState() -> CheckpointState {
        CheckpointState(
            step: committedStep, parameters: job.replica.parameters.copy(),
            slots: job.replica.optimizer.slots.map { $0.copy() }, carry: carries.committed)
    }

    private func checkpoint() { recorder?.post(.checkpoint(checkpointState())) }

    /// Says why nothing happens: at once where no step can begin, after two seconds where one stands still.
    private func sayWhatIsAwaited() {
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

/// The canonical tree over Doubles: the same sum whoever computed the leaves.
func treeSum(_ values: [Double], _ tree: ReductionTree) -> Double {
    func sum(_ node: TreeNode) -> Double {
        guard let (left, right) = tree.children(of: node) else { return values[tree.shards(node)!.lowerBound] }
        return sum(left) + sum(right)
    }
    return sum(tree.root)
}
