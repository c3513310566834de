/// What leaves the coordinator for one worker; the loop adds the bytes.
package enum CoordinatorItem: Equatable, Sendable {
    case welcome(step: UInt64)
    case snapshot(SnapshotPart)
    case lease(Lease)
    case average(AveragePart)
    case commit(step: UInt64)
    case heartbeat
    case finish
}

package enum CoordinatorAction: Equatable, Sendable {
    case send(WorkerID, CoordinatorItem, sequence: UInt64, acknowledged: UInt64)
    /// Outside of any session, which ends with it.
    case refuse(WorkerID, Refusal)
    /// Keep the state as it is now, after `step` steps, for a worker that joins.
    case takeSnapshot(WorkerID, step: UInt64)
    /// The message's payload is the node's values: keep them; then make the changes in order.
    case fold(chunk: Int, changes: [ChunkFold.Change])
    /// The message's loss and payload are the shard's: keep them.
    case acceptShard(Int)
    /// All is there: compute the scalars of the step; apply the update once the sends that follow have left.
    case commit(step: UInt64)
    case discard(WorkerID, reason: String)
    case joined(WorkerID)
    case evict(WorkerID, reason: String)
    /// All steps are done.
    case finished
}

/// Decides everything about membership, leases, the reduction and commits. Pure: events and time go in, actions come
/// out; it holds identities and never a float.
///
/// ```
///            hello                 applied(snapshot)              silence, gap, wrong digest
///  (none) ----------> joining ------------------------> ready ------------------------------> (none)
///                        |                                ^ leases at step boundaries; shards whose
///                        +--> averages and commits since    worker was lost go to others at once
/// ```
///
/// A step: leases go out; nodes are folded chunk by chunk; a complete chunk is pushed to every member at once; when
/// all chunks are complete and all shards accepted, the step is committed and the next one opens.
package struct CoordinatorMachine: Sendable {
    package struct Configuration: Sendable {
        package var run: UInt64
        package var shards: Int
        package var chunks: Int
        package var snapshotParts: Int
        package var totalSteps: UInt64
        /// Steps in an epoch: the carry is reset at its first. 1 for a stateless run.
        package var carryPeriod: UInt64
        /// The first step waits for this many.
        package var minimumWorkers = 1
        package var maximumWorkers = 1024
        /// Nanoseconds without a word after which a worker is lost.
        package var silenceLimit: UInt64 = 3_000_000_000
        package var heartbeatInterval: UInt64 = 250_000_000
        /// Credits: messages under way to or from one worker.
        package var window: UInt64 = 48

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
    struct Grant: Sendable {
        let generation: UInt32
        let shards: Set<Int>
    }

    struct Member: Sendable {
        let hello: Hello
        var session: Session<CoordinatorItem>
        var isReady = false
        var lastHeard: UInt64
        var lastSent: UInt64
        /// Of the open step.
        var grants: [Grant] = []
        /// The shards whose carry into the open step the worker holds: those it computed in the step before.
        var carries: Set<Int> = []
        /// Shards of the open step that it has reported.
        var reported: Set<Int> = []
    }

    package let configuration: Configuration
    package let tree: ReductionTree
    /// The open step; how many are committed.
    package private(set) var step: UInt64
    /// Counts changes of the membership.
    package private(set) var generation: UInt32 = 0
    package private(set) var isFinished = false

    private(set) var members: [WorkerID: Member] = [:]
    /// In the order of joining, which is the order of leases.
    private var order: [WorkerID] = []
    /// Whether the minimum of workers has been there once.
    package private(set) var hasStarted = false
    private var folds: [ChunkFold]
    private var completeChunks = 0
    private var accepted: Set<Int> = []
    /// Shards of the open step that nobody holds.
    private var unleased: Set<Int>
    /// Digests after recent steps, own ones, to hold the replicas against.
    private var digests: [UInt64: UInt64] = [:]

    package init(_ configuration: Configuration, step: UInt64 = 0) {
        self.configuration = configuration
        self.step = step
        tree = ReductionTree(leaves: configuration.shards)
        folds = Array(repeating: ChunkFold(tree: tree), count: configuration.chunks)
        unleased = Set(0..<configuration.shards)
    }

    // MARK: What others may ask

    package var readyWorkers: [WorkerID] { order.filter { members[$0]!.isReady } }
    package func hello(of worker: WorkerID) -> Hello? { members[worker]?.hello }

    package func workers(named name: String) -> [WorkerID] { order.filter { members[$0]!.hello.name == name } }

    package func leasedShards(of worker: WorkerID) -> [Int] {
        members[worker].map { $0.grants.flatMap(\.shards).sorted() } ?? []
    }

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

    /// What the open step waits for, in words; nil when all is done.
    package func waitingReason() -> String? {
        if isFinished { return nil }
        if readyWorkers.isEmpty { return "step \(step) waits for workers: none is connected" }
        if !hasStarted {
            return "step \(step) waits for \(configuration.minimumWorkers - readyWorkers.count) more workers"
        }
        let late = order.compactMap { worker -> String? in
            let member = members[worker]!
            let open = Set(member.grants.flatMap(\.shards)).subtracting(member.reported).sorted()
            guard let first = open.first, let last = open.last else { return nil }
            return "\(member.hello.name) (shards \(first) to \(last))"
        }
        return "step \(step) waits for " + late.joined(separator: ", ")
    }

    // MARK: Events

    /// A message that was decoded and whose sender the transport vouches for.
    ///
    /// - Parameter payload: its size in bytes, already checked against the kind of message.
    package mutating func received(_ message: Message, _ envelope: Envelope, now: UInt64) -> [CoordinatorAction] {
        let worker = envelope.worker
        if case .hello(let hello) = message, members[worker] == nil {
            return welcome(worker, hello, envelope, now: now)
        }
        guard members[worker] != nil else {
            // A worker that was lost and does not know it.
            return [.refuse(worker, Refusal(code: .sessionBroken, reason: "the session is over: join again"))]
        }
        guard envelope.run == configuration.run else {
            return evict(worker, "spoke for another run", .protocolViolation, now: now)
        }
        switch members[worker]!.session.receive(
            sequence: envelope.sequence, acknowledged: envelope.acknowledged)
        {
        case .duplicate: return [.discard(worker, reason: "a message came twice")]
        case .gap: return evict(worker, "messages were lost on the way", .sessionBroken, now: now)
        case .inOrder: break
        }
        members[worker]!.lastHeard = now
        var actions: [CoordinatorAction]
        switch message {
        case .gradient(let part): actions = gradient(part, from: worker, now: now)
        case .shardResult(let result): actions = shardResult(result, from: worker, now: now)
        case .applied(let applied): actions = self.applied(applied, by: worker, now: now)
        case .goodbye: return lose(worker, "left", now: now)
        case .heartbeat: actions = []
        default: return evict(worker, "sent what only a coordinator sends", .protocolViolation, now: now)
        }
        actions += pump(now: now)
        return actions
    }

    /// The process behind a worker ended, or the transport cannot reach it.
    package mutating func lose(_ worker: WorkerID, _ reason: String, now: UInt64) -> [CoordinatorAction] {
        guard let member = members.removeValue(forKey: worker) else { return [] }
        order.removeAll { $0 == worker }
        generation += 1
        for shard in member.grants.flatMap(\.shards) where !isDone(shard) && !isHeld(shard) {
            unleased.insert(shard)
        }
        return [.evict(worker, reason: reason)] + leaseWhatIsFree() + pump(now: now)
    }

    /// Ends the session of a worker whose message made no sense; it is told why.
    package mutating func violated(_ worker: WorkerID, _ reason: String, now: UInt64) -> [CoordinatorAction] {
        evict(worker, reason, .protocolViolation, now: now)
    }

    /// The coordinator's own replica holds `step` steps and has this digest.
    package mutating func digested(step: UInt64, digest: UInt64) {
        digests[step] = digest
        digests = digests.filter { $0.key + 16 > step }
    }

    package mutating func tick(now: UInt64) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for worker in order {
            guard let member = members[worker] else { continue }
            let silence = now - min(now, member.lastHeard)
            if silence > configuration.silenceLimit {
                let text = "silent for \(silence / 100_000_000 * 100) ms"
                actions += evict(worker, text, .sessionBroken, now: now)
            } else if member.session.outbox.count > 4 * configuration.chunks + configuration.snapshotParts + 16 {
                actions += evict(worker, "reads too slowly to keep up", .sessionBroken, now: now)
            }
        }
        for worker in order where now - min(now, members[worker]!.lastSent) >= configuration.heartbeatInterval {
            actions.append(stamped(worker, .heartbeat, now: now))
        }
        return actions + pump(now: now)
    }

    /// Tells every worker that the run is over.
    package mutating func finish(now: UInt64) -> [CoordinatorAction] {
        order.map { stamped($0, .finish, now: now) }
    }

    // MARK: Joining

    private mutating func welcome(_ worker: WorkerID, _ hello: Hello, _ envelope: Envelope, now: UInt64)
        -> [CoordinatorAction]
    {
        guard hello.run == 0 || hello.run == configuration.run else {
            return [.refuse(worker, Refusal(code: .otherRun, reason: "this coordinator serves another run"))]
        }
        guard members.count < configuration.maximumWorkers else {
            return [.refuse(worker, Refusal(code: .full, reason: "\(members.count) workers are connected already"))]
        }
        var session = Session<CoordinatorItem>(window: configuration.window)
        guard worker != 0, session.receive(sequence: envelope.sequence, acknowledged: 0) == .inOrder else {
            return [.refuse(worker, Refusal(code: .sessionBroken, reason: "the greeting came out of order"))]
        }
        session.enqueue(.welcome(step: step))
        for part in 0..<configuration.snapshotParts {
            session.enqueue(.snapshot(SnapshotPart(step: step, part: UInt32(part))))
        }
        for (chunk, fold) in folds.enumerated() where fold.isComplete {
            session.enqueue(.average(AveragePart(step: step, chunk: UInt32(chunk))))
        }
        members[worker] = Member(hello: hello, session: session, lastHeard: now, lastSent: now)
        order.append(worker)
        return [.takeSnapshot(worker, step: step)] + pump(now: now)
    }

    private mutating func applied(_ applied: Applied, by worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        if let own = digests[applied.step], own != applied.digest {
            return evict(
                worker, "its replica differs after step \(applied.step): check its memory, processor and build",
                .replicaDiffers, now: now)
        }
        guard !members[worker]!.isReady else { return [] }
        members[worker]!.isReady = true
        generation += 1
        return [.joined(worker)] + leaseWhatIsFree()
    }

    // MARK: The open step

    private func isDone(_ shard: Int) -> Bool { accepted.contains(shard) }

    private func isHeld(_ shard: Int) -> Bool {
        members.values.contains { $0.grants.contains { $0.shards.contains(shard) } && !$0.reported.contains(shard) }
    }

    /// Hands the shards that nobody holds to the ready members.
    private mutating func leaseWhatIsFree() -> [CoordinatorAction] {
        let ready = readyWorkers
        guard !isFinished, !unleased.isEmpty, !ready.isEmpty else { return [] }
        if !hasStarted {
            guard ready.count >= configuration.minimumWorkers else { return [] }
            hasStarted = true
        }
        let plan = LeasePlan.apportion(
            unleased.sorted(), among: ready.map { ($0, Int(members[$0]!.hello.threads)) })
        let resets = step % configuration.carryPeriod == 0
        for (worker, shards) in plan {
            let carried = resets ? [] : shards.filter { !members[worker]!.carries.contains($0) }
            members[worker]!.grants.append(Grant(generation: generation, shards: Set(shards)))
            members[worker]!.session.enqueue(
                .lease(
                    Lease(
                        generation: generation, step: step, shards: shards.map(UInt32.init),
                        carried: carried.map(UInt32.init), resetsCarry: resets)))
        }
        unleased = []
        return []
    }

    private mutating func gradient(_ part: GradientPart, from worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard part.step == step else {
            return [.discard(worker, reason: "a gradient for step \(part.step) came in step \(step)")]
        }
        let chunk = Int(part.chunk)
        guard chunk < folds.count, let shards = tree.shards(part.node),
            members[worker]!.grants.contains(where: {
                $0.generation == part.generation && $0.shards.isSuperset(of: shards)
            })
        else { return evict(worker, "sent a gradient that it was not asked for", .protocolViolation, now: now) }
        let changes = folds[chunk].insert(part.node)
        if changes.isEmpty { return [.discard(worker, reason: "a gradient came twice")] }
        if changes.last == .complete {
            completeChunks += 1
            for member in order {
                members[member]!.session.enqueue(.average(AveragePart(step: step, chunk: part.chunk)))
            }
        }
        return [.fold(chunk: chunk, changes: changes)]
    }

    private mutating func shardResult(_ result: ShardResult, from worker: WorkerID, now: UInt64)
        -> [CoordinatorAction]
    {
        guard result.step == step else {
            return [.discard(worker, reason: "a result for step \(result.step) came in step \(step)")]
        }
        let shard = Int(result.shard)
        guard
            members[worker]!.grants.contains(where: {
                $0.generation == result.generation && $0.shards.contains(shard)
            }), folds.allSatisfy({ $0.covers(shard) })
        else { return evict(worker, "sent a result before its gradient", .protocolViolation, now: now) }
        members[worker]!.reported.insert(shard)
        guard accepted.insert(shard).inserted else { return [.discard(worker, reason: "a result came twice")] }
        unleased.remove(shard)
        return [.acceptShard(shard)] + commitIfComplete()
    }

    private mutating func commitIfComplete() -> [CoordinatorAction] {
        guard completeChunks == folds.count, accepted.count == configuration.shards else { return [] }
        let committed = step
        for worker in order {
            members[worker]!.session.enqueue(.commit(step: committed))
            members[worker]!.carries = members[worker]!.reported
            members[worker]!.reported = []
            members[worker]!.grants = []
        }
        step += 1
        folds = Array(repeating: ChunkFold(tree: tree), count: configuration.chunks)
        completeChunks = 0
        accepted = []
        unleased = Set(0..<configuration.shards)
        var actions: [CoordinatorAction] = [.commit(step: committed)]
        if step >= configuration.totalSteps {
            isFinished = true
            actions.append(.finished)
        } else {
            actions += leaseWhatIsFree()
        }
        return actions
    }

    // MARK: Sending

    private mutating func evict(_ worker: WorkerID, _ reason: String, _ code: Refusal.Code, now: UInt64)
        -> [CoordinatorAction]
    {
        [.refuse(worker, Refusal(code: code, reason: reason))] + lose(worker, reason, now: now)
    }

    private mutating func stamped(_ worker: WorkerID, _ item: CoordinatorItem, now: UInt64) -> CoordinatorAction {
        let stamp = members[worker]!.session.stamp()
        members[worker]!.lastSent = now
        return .send(worker, item, sequence: stamp.sequence, acknowledged: stamp.acknowledged)
    }

    /// Lets everything leave that has credits, and returns credits that are due.
    private mutating func pump(now: UInt64) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for worker in order {
            for item in members[worker]!.session.releasable() {
                // A lease that waited for credits until its step was over is of no use to anyone.
                if case .lease(let lease) = item, lease.step != step { continue }
                actions.append(stamped(worker, item, now: now))
            }
            if members[worker]!.session.owesAcknowledgement { actions.append(stamped(worker, .heartbeat, now: now)) }
        }
        return actions
    }
}
