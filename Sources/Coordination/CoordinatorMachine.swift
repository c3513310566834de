/// What leaves the coordinator for one worker; the loop adds the bytes.
package enum CoordinatorItem: Hashable, Sendable {
    case welcome(step: UInt64, snapshotParts: Int)
    case snapshot(SnapshotPart)
    case lease(Lease)
    case evaluate(EvaluationLease)
    case average(AveragePart)
    case commit(step: UInt64)
    case heartbeat
    case finish
    case recall(Recall)
    case restart(Restart)
}

/// What the coordinator's loop is to do, in order. "The message" is the one whose receipt gave the action.
package enum CoordinatorAction: Hashable, Sendable {
    /// Send the item to a member, in an envelope with these sequence numbers.
    case send(WorkerID, CoordinatorItem, sequence: UInt64, acknowledged: UInt64)
    /// Outside of any session, which ends with it.
    case refuse(WorkerID, Refusal)
    /// Keep the state as it is now, after `step` steps, for a worker that joins.
    case takeSnapshot(WorkerID, step: UInt64)
    /// The message's payload is the node's values: keep them; then make the changes in order.
    case fold(chunk: Int, changes: [ChunkFold.Change])
    /// The message's losses and payload are new for these shards of its node: keep them.
    case acceptShards([Int])
    /// The message's losses of these segments are new: keep them.
    case acceptSegments(Set<Int>)
    /// The losses of all segments are there, after `step` steps.
    case evaluated(step: UInt64)
    /// All is there: compute the scalars of the step; apply the update once the sends that follow have left.
    case commit(step: UInt64)
    /// Forget what was folded in the open step: somebody lied.
    case abandonStep
    /// Compute these shards here, at the replica as it is, and answer with ``CoordinatorMachine/settled``.
    case settle(Dispute)
    /// Nothing is done with the message, for this reason.
    case discard(WorkerID, reason: String)
    /// The worker's replica stands: from now on it is leased shards.
    case joined(WorkerID)
    /// The worker's session is over, for this reason: forget what is kept for it.
    case evict(WorkerID, reason: String)
    /// The worker is not let in again under its name and host.
    case ban(WorkerID, name: String, host: String)
    /// Worth a line in the log.
    case note(String)
    /// About a peer, for the log, where there may be a flood of the kind.
    case complain(String)
    /// The message's payload belongs to the state that a restarted coordinator takes over.
    case storeRecalledPart(Int)
    case storeRecalledCarry(Int)
    case storeHistory([HistoryRecord])
    /// All parts are there: answer with ``CoordinatorMachine/recalled(digest:stateDigest:now:)``.
    case verifyRecalled
    /// The state that the workers kept is whole, after `step` steps: go on from it.
    case recovered(step: UInt64)
    /// Nothing newer than the checkpoint is whole: go on from that.
    case keptCheckpoint
    /// The run cannot go on; with `savesState` the last committed step is still to be trusted.
    case fail(reason: String, savesState: Bool)
    /// All steps are done.
    case finished
}

/// Decides everything about membership, leases, the reduction and commits. Pure: events and time go in, actions come
/// out; it holds identities and never a float. Moments are nanoseconds of a clock that nobody sets back.
///
/// ```
///            hello                 applied(snapshot)              silence, gap, wrong digest
///  (none) ----------> joining ------------------------> ready ------------------------------> (none)
///                        |                                ^ leases at step boundaries; shards whose
///                        +--> averages and commits since    worker was lost go to others at once
/// ```
///
/// A step: leases go out; nodes are folded chunk by chunk; a complete chunk is pushed to every member at once; when
/// all chunks are complete, all shards accepted and no audit is open, the step is committed and the next one opens. Where
/// an evaluation is due, it comes between the two: all hold the same replica then.
///
/// Started again, it first recovers: it looks at what the workers offer, and takes over the newest state that is whole
/// (``Recovery``). Parts in files of their own: joining and leaving, the open step, evaluations, audits, recovery,
/// sending.
package struct CoordinatorMachine: Hashable, Sendable {
    /// What a run and its settings fix for the machine.
    package struct Configuration: Hashable, Sendable {
        /// The run's identity; never 0.
        package var run: UInt64
        /// Which start of the run's coordinator this is; a later start has a higher one.
        package var term: UInt64 = 1
        /// `S`.
        package var shards: Int
        /// Chunks of a gradient.
        package var chunks: Int
        /// Chunks of a whole replica: parameters and the optimizer's state.
        package var snapshotParts: Int
        package var totalSteps: UInt64
        /// Steps in an epoch: the carry is reset at its first. 1 for a stateless run.
        package var carryPeriod: UInt64
        /// The first step waits for this many.
        package var minimumWorkers = 1
        package var maximumWorkers = 1024
        /// Nanoseconds without a word after which a worker is lost.
        package var silenceLimit: UInt64 = 1_500_000_000
        /// Nanoseconds without a word of its own after which it sends one.
        package var heartbeatInterval: UInt64 = 250_000_000
        /// Nanoseconds without progress after which a worker that joins is lost, however often it is heard.
        package var joinLimit: UInt64 = 60_000_000_000
        /// Messages under way to one worker, at most.
        package var credits: UInt64 = 48
        /// How many of a million steps have a shard computed twice.
        package var auditsPerMillion: UInt64 = 0
        /// A lease is late, and given to idle workers too, after one and a half times the time expected, and this.
        package var speculationFloor: UInt64 = 100_000_000
        /// Segments of the held-out text; 0 where nothing is held out.
        package var segments = 0
        /// The most segments that one lease names.
        package var segmentsPerLease = Wire.maximumShards

        package init(
            run: UInt64, shards: Int, chunks: Int, snapshotParts: Int, totalSteps: UInt64, carryPeriod: UInt64
        ) {
            self.run = run
            self.shards = shards
            self.chunks = chunks
            self.snapshotParts = snapshotParts
            self.totalSteps = totalSteps
            self.carryPeriod = carryPeriod
        }
    }

    /// Shards handed to a worker at one moment of the open step.
    struct Grant: Hashable, Sendable {
        let generation: UInt32
        let shards: Set<Int>
        let time: UInt64
    }

    struct Member: Hashable, Sendable {
        let hello: Hello
        var session: Session<CoordinatorItem>
        /// Welcomed: it gets what happens in the run. Before, a restarted coordinator looks at its offer.
        var isWelcome = false
        var isReady = false
        /// When its joining last went on. Time as a whole says nothing: a large snapshot takes long over a slow link.
        var lastProgress: UInt64
        /// The sequences of what it needs for its replica and has not acknowledged, of what has left.
        var underWay: [UInt64] = []
        /// The newest step after which it has told its replica's digest.
        var applied: UInt64?
        var lastHeard: UInt64
        var lastSent: UInt64
        /// What it was leased in the open step.
        var grants: [Grant] = []
        /// The shards whose carry into the open step the worker holds: those it computed in the step before.
        var carries: Set<Int> = []
        /// Shards of the open step that it has reported.
        var reported: Set<Int> = []
        /// How many chunks of its shards' gradients have come in the open step, a node's once for each of its shards.
        var partsSeen = 0
        /// Nanoseconds from a lease to its results, for a shard, as measured; nil before the first measure.
        var cost: UInt64?
        /// Nanoseconds of computing for a shard, as the worker says, at least what it is late by; nil before its word.
        var work: UInt64?

        var openShards: Set<Int> { Set(grants.flatMap(\.shards)).subtracting(reported) }
        /// Whether parts of its snapshot have not left yet.
        var awaitsSnapshot: Bool {
            session.outbox.contains { if case .snapshot = $0 { true } else { false } }
        }
    }

    struct Identity: Hashable, Sendable {
        let name: String
        let host: String

        init(_ hello: Hello) { (name, host) = (hello.name, hello.host) }
    }

    package internal(set) var configuration: Configuration
    package let tree: ReductionTree
    /// The open step; how many are committed.
    package internal(set) var step: UInt64
    /// Counts changes of the membership, and new beginnings of a step.
    package internal(set) var generation: UInt32 = 0
    package internal(set) var isFinished = false

    var members: [WorkerID: Member] = [:]
    /// In the order of joining.
    var order: [WorkerID] = []
    var banned: [Identity: String] = [:]
    /// Whether the minimum of workers has been there once.
    package internal(set) var hasStarted = false
    var folds: [ChunkFold]
    var completeChunks = 0
    var accepted: Set<Int> = []
    /// Shards of the open step that nobody holds.
    var unleased: Set<Int>
    /// How the shards were shared at the last boundary.
    var plan: [WorkerID: [Int]] = [:]
    /// Leases of the open step from before this one are void.
    var firstGeneration: UInt32 = 0
    var stepOpened: UInt64 = 0
    /// Nanoseconds of the steps of late; 0 before the first is done.
    var stepTime: UInt64 = 0
    var audit: Audit?
    /// Whether the open step was drawn for an audit, or not.
    var isAuditDrawn = false
    var dispute: Dispute?
    /// Digests after recent steps, own ones, to hold the replicas against.
    var digests: [UInt64: UInt64] = [:]
    /// Digests of replicas that were evicted for them, after recent steps.
    var strangeDigests: [UInt64: Set<UInt64>] = [:]
    var evaluation: OpenEvaluation?
    /// Steps after which an evaluation is wanted.
    var evaluationDue: UInt64?
    /// Nanoseconds for a segment of the held-out text, as last measured.
    var segmentCost: UInt64?
    var recovery: Recovery?
    /// What was recovered, until the next commit: who offered the same needs no snapshot.
    var recoveredState: OfferedState?
    /// Workers whose replica was found good: the first step after a recovery waits for them.
    var awaited: Set<WorkerID> = []
    /// When that wait is over: a worker may be there and never say that its replica stands.
    var awaitedUntil: UInt64 = 0
    private var lastTick: UInt64?

    /// - Parameter recovery: what is known beside the checkpoint, where workers may hold something newer than it.
    package init(_ configuration: Configuration, step: UInt64 = 0, recovery: Recovery? = nil) {
        self.configuration = configuration
        self.step = step
        self.recovery = recovery
        tree = ReductionTree(leaves: configuration.shards)
        folds = Array(repeating: ChunkFold(tree: tree), count: configuration.chunks)
        unleased = Set(0..<configuration.shards)
        // One that died in the evaluation after the last step has nothing more to commit, unless that is asked for again.
        isFinished = step >= configuration.totalSteps
    }

    // MARK: What others may ask

    /// All whose session is open, in the order of joining.
    package var workers: [WorkerID] { order }
    package var readyWorkers: [WorkerID] { order.filter { members[$0]!.isReady } }
    package var isRecovering: Bool { recovery != nil }
    /// What a member said of itself; nil where its session is over.
    package func hello(of worker: WorkerID) -> Hello? { members[worker]?.hello }
    /// How many steps a worker's replica holds, as it said last, 0 before its first word; nil where its session is over.
    package func stepsHeld(by worker: WorkerID) -> UInt64? { members[worker].map { $0.applied ?? 0 } }
    /// The members of this name, in the order of joining.
    package func workers(named name: String) -> [WorkerID] { order.filter { members[$0]!.hello.name == name } }

    /// Averages and scalars of earlier steps are needed by nobody.
    package var oldestNeededStep: UInt64 {
        var oldest = step
        for member in members.values {
            for item in member.session.outbox {
                switch item {
                case .average(let part): oldest = min(oldest, part.step)
                case .commit(let step): oldest = min(oldest, step)
                default: break
                }
            }
        }
        return oldest
    }

    /// Of whom a step waits for, how many are named.
    private static let workersNamed = 8

    /// What the open step waits for, in words; nil when all is done.
    package func waitingReason(now: UInt64) -> String? {
        if isFinished { return nil }
        if let recovery { return recovery.waitingReason }
        let next = isEvaluating ? "the evaluation after step \(step)" : "step \(step + 1)"
        if readyWorkers.isEmpty { return "\(next) waits for workers: none is connected" }
        if !awaited.isEmpty { return "\(next) waits for \(awaited.count) workers that kept their replica" }
        if !hasStarted {
            let missing = configuration.minimumWorkers - readyWorkers.count
            return "\(next) waits for \(missing) more worker\(missing == 1 ? "" : "s")"
        }
        if let evaluation { return evaluationWaits(evaluation, now: now) }
        let working = order.filter { !members[$0]!.openShards.isSubset(of: accepted) }
        var late = working.prefix(Self.workersNamed).map { worker in
            let member = members[worker]!
            let open = member.openShards.subtracting(accepted).sorted()
            let shards = (open.count == 1 ? "shard " : "shards ") + LeasePlan.text(open)
            return "worker \(member.hello.name), \(shards), phase \(phase(of: member).rawValue)"
        }
        if working.count > late.count { late.append("\(working.count - late.count) workers more") }
        if late.isEmpty, let audit, audit.isOpen { late = ["the audit of shard \(audit.shard)"] }
        let tenths = now.since(stepOpened) / 100_000_000
        return "step \(step + 1) waits \(tenths / 10).\(tenths % 10) s for " + late.joined(separator: "; ")
    }

    /// Nanoseconds that the open step has taken; nil where it waits for workers or an evaluation, or is done.
    package func stepAge(now: UInt64) -> UInt64? {
        hasStarted && !isFinished && !isEvaluating && !readyWorkers.isEmpty ? now.since(stepOpened) : nil
    }

    // MARK: Events

    /// A message that was decoded and whose sender the transport vouches for. Its payload has the size that its kind
    /// asks for.
    ///
    /// - Parameters:
    ///   - digest: of the payload, where ``wantsDigest(of:)`` asked for it.
    ///   - isFinite: false where the payload or the loss holds an infinity or a NaN.
    package mutating func received(
        _ message: Message, _ envelope: Envelope, digest: UInt64 = 0, isFinite: Bool = true, now: UInt64
    ) -> [CoordinatorAction] {
        let worker = envelope.worker
        if case .hello(let hello) = message, members[worker] == nil {
            return greeted(worker, hello, envelope, now: now)
        }
        guard members[worker] != nil else {
            // A worker that was lost, or whose coordinator was, and does not know it.
            return [.refuse(worker, Refusal(code: .sessionBroken, reason: "the session is over: join again"))]
        }
        switch members[worker]!.session.receive(
            sequence: envelope.sequence, acknowledged: envelope.acknowledged)
        {
        case .duplicate: return [.discard(worker, reason: "a message came twice")]
        case .gap: return evict(worker, "messages were lost on the way", .sessionBroken, now: now)
        case .inOrder: break
        }
        // After its place: a greeting that comes twice names no run.
        guard envelope.run == configuration.run else {
            return evict(worker, "spoke for another run", .protocolViolation, now: now)
        }
        members[worker]!.lastHeard = now
        if let first = members[worker]!.underWay.first, first <= envelope.acknowledged {
            members[worker]!.underWay.removeAll { $0 <= envelope.acknowledged }
            members[worker]!.lastProgress = now
        }
        let (isWelcome, isReady) = (members[worker]!.isWelcome, members[worker]!.isReady)
        let actions: [CoordinatorAction]
        switch message {
        case .goodbye: return lose(worker, "left", now: now)
        case .heartbeat: actions = []
        case .snapshot where !isFinite, .carry where !isFinite:
            return evict(worker, "handed over a state that is not finite", .protocolViolation, now: now)
        case .snapshot(let part): actions = recalled(part, from: worker, now: now)
        case .carry(let part): actions = recalled(part, from: worker, now: now)
        case .history(let records): actions = recalled(records, from: worker, now: now)
        case .applied(let applied) where isWelcome: actions = self.applied(applied, by: worker, now: now)
        case .gradient(let part) where isReady:
            actions = gradient(part, digest: digest, isFinite: isFinite, from: worker, now: now)
        case .nodeResult(let result) where isReady:
            actions = nodeResult(result, digest: digest, isFinite: isFinite, from: worker, now: now)
        case .audited(let report) where isReady: actions = audited(report, by: worker, now: now)
        case .evaluated(let result) where isReady: actions = evaluated(result, by: worker, now: now)
        default: return evict(worker, "spoke out of turn", .protocolViolation, now: now)
        }
        return actions + pump(now: now)
    }

    /// Messages that wait for one slow reader, before it is given up: four gradients' chunks, or 64 MiB of them.
    private var outboxLimit: Int { max(4 * configuration.chunks, 256) + configuration.snapshotParts + 16 }

    /// What has come due by now: silence, heartbeats, late leases.
    package mutating func tick(now: UInt64) -> [CoordinatorAction] {
        // A coordinator that was stopped, or starved of its processor, has heard nobody: that is nobody's fault.
        if let lastTick, now > lastTick + configuration.silenceLimit / 2 {
            for worker in order {
                members[worker]!.lastHeard += now - lastTick
                members[worker]!.lastProgress += now - lastTick
            }
        }
        lastTick = now
        var actions: [CoordinatorAction] = []
        for worker in order {
            guard let member = members[worker] else { continue }
            let silence = now.since(member.lastHeard)
            if silence > configuration.silenceLimit {
                let text = "silent for \(silence / 100_000_000 * 100) ms"
                actions += evict(worker, text, .sessionBroken, now: now)
            } else if member.session.outbox.count > outboxLimit {
                actions += evict(worker, "reads too slowly to keep up", .sessionBroken, now: now)
            } else if member.isWelcome, !member.isReady, now.since(member.lastProgress) > configuration.joinLimit {
                actions += giveUpJoining(worker, now: now)
            }
        }
        for worker in order where now.since(members[worker]!.lastSent) >= configuration.heartbeatInterval {
            actions.append(stamped(worker, .heartbeat, now: now))
        }
        if !awaited.isEmpty, now >= awaitedUntil {
            awaited = []
            leaseWhatIsFree(now: now)
        }
        return actions + recover(now: now) + speculate(now: now) + boundAudit(now: now) + speculateSegments(now: now)
            + pump(now: now)
    }
}
