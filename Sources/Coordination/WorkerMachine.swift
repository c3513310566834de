/// What leaves a worker; the loop adds the bytes.
package enum WorkerItem: Hashable, Sendable {
    case hello
    case gradient(GradientPart)
    case nodeResult(NodeResult)
    case applied(Applied)
    case heartbeat
    case goodbye
    case snapshot(SnapshotPart)
    case carry(CarryPart)
    case history([HistoryRecord])
    case audited(AuditReport)
    case evaluated(EvaluationResult)
}

/// What the worker's loop is to do, in order. "The payload" is that of the message whose receipt gave the action.
package enum WorkerAction: Hashable, Sendable {
    /// Send the item, in an envelope with these sequence numbers.
    case send(WorkerItem, sequence: UInt64, acknowledged: UInt64)
    /// Build the model from the configuration.
    case adopt(Welcome)
    /// The replica that was offered stands: answer with its digest.
    case keepReplica(Welcome)
    /// Hand over what was offered; see ``WorkerMachine/handOver(_:now:)``.
    case handOver(Recall)
    /// The payload is this part of the snapshot.
    case storeSnapshot(part: Int)
    /// All parts are there: the replica holds `step` steps; answer with its digest.
    case installSnapshot(step: UInt64)
    /// The payload is this chunk of the averaged gradient.
    case storeAverage(step: UInt64, chunk: Int)
    /// Update the replica; answer with its digest.
    case apply(Commit)
    /// Compute; answer with gradients, then results; or, for an audit, with the report.
    case compute(Lease)
    /// Run these segments forward; answer with their losses. A lease of shards or an update ends what is not done.
    case evaluate(EvaluationLease)
    /// The averages of the open step and the leases before this generation are void.
    case restartStep(generation: UInt32)
    /// Nothing is done with the message, for this reason.
    case discard(reason: String)
    /// The session is over: connect afresh, as a new incarnation.
    case rejoin(reason: String)
    /// The coordinator will not have this worker.
    case refused(Refusal)
    /// The run is over: the worker ends.
    case finish
}

/// One worker's side of the protocol. Pure, as ``CoordinatorMachine`` is; one value lasts for one incarnation.
///
/// ```
/// greeting --welcome--> joining --last snapshot part--> serving --finish--> ended
///    |  \________ welcome without a snapshot ______________^                   ^
///    |   (recall: hand over what was offered)                                  |
///     \________________________ silence, gap, refusal ________________________/
/// ```
package struct WorkerMachine: Hashable, Sendable {
    /// What the worker begins with; the welcome sets the first two anew.
    package struct Configuration: Hashable, Sendable {
        /// Nanoseconds without a word after which it joins anew, in the greeting; afterwards twice the coordinator's
        /// limit.
        package var silenceLimit: UInt64 = 3_000_000_000
        package var heartbeatInterval: UInt64 = 250_000_000
        /// Messages under way to the coordinator, at most.
        package var credits: UInt64 = 48
        package init() {}
    }

    private enum Phase: Hashable { case greeting, joining, serving, ended }

    package let worker: WorkerID
    private var configuration: Configuration
    private var phase = Phase.greeting
    private var hasHeard = false
    private var run: UInt64
    /// The newest term heard of.
    package private(set) var term: UInt64
    package let offer: Offer?
    private var session: Session<WorkerItem>
    private var lastHeard: UInt64
    private var lastSent: UInt64
    private var lastTick: UInt64?
    private var snapshotParts = 0
    private var snapshotReceived = 0
    /// Steps committed, as this worker has heard.
    package private(set) var step: UInt64 = 0
    /// Chunks of a gradient; known once the welcome is adopted.
    private var chunks = 0
    private var averages: Set<Int> = []
    private var firstGeneration: UInt32 = 0

    /// - Parameters:
    ///   - run: that of the replica which is offered; 0 for none.
    ///   - term: of the last coordinator served.
    package init(
        worker: WorkerID, configuration: Configuration, now: UInt64, run: UInt64 = 0, term: UInt64 = 0,
        offer: Offer? = nil
    ) {
        self.worker = worker
        self.configuration = configuration
        self.run = run
        self.term = term
        self.offer = offer
        session = Session(credits: configuration.credits)
        lastHeard = now
        lastSent = now
    }

    package var hasJoined: Bool { phase == .joining || phase == .serving }

    /// The run that envelopes name: 0 until it is known.
    package var runInEnvelopes: UInt64 { run }

    /// Greets: the first message of the incarnation.
    ///
    /// - Parameter now: nanoseconds of a clock that nobody sets back, as everywhere here.
    package mutating func start(now: UInt64) -> [WorkerAction] { [stamped(.hello, now: now)] }

    /// The model is built: from here a gradient has this many chunks.
    package mutating func adopted(chunks: Int) { self.chunks = chunks }

    /// A message that was decoded. Where something was lost before it, or where it is of another run, the incarnation
    /// is over: the answer is ``WorkerAction/rejoin(reason:)``.
    package mutating func received(_ message: Message, _ envelope: Envelope, now: UInt64) -> [WorkerAction] {
        guard phase != .ended else { return [] }
        guard envelope.worker == worker else { return [.discard(reason: "a message for an earlier incarnation")] }
        if case .refuse(let refusal) = message {
            phase = .ended
            if refusal.code == .sessionBroken { return [.rejoin(reason: refusal.reason)] }
            return [.refused(refusal)]
        }
        switch session.receive(sequence: envelope.sequence, acknowledged: envelope.acknowledged) {
        case .duplicate: return [.discard(reason: "a message came twice")]
        case .gap: return broken("messages were lost on the way")
        case .inOrder: break
        }
        lastHeard = now
        hasHeard = true
        if run == 0 { run = envelope.run }
        guard envelope.run == run else { return broken("the coordinator serves another run") }
        let actions = accepted(message, now: now)
        return phase == .ended ? actions : actions + pump(now: now)
    }

    /// What follows from a message that is new, in order and of this run; where it makes no sense, the session ends.
    private mutating func accepted(_ message: Message, now: UInt64) -> [WorkerAction] {
        switch (message, phase) {
        case (.welcome(let welcome), .greeting): return welcomed(welcome)
        case (.recall(let recall), .greeting):
            guard isOffered(recall) else { return broken("the coordinator asked for what was not offered") }
            return [.handOver(recall)]
        case (.snapshot(let part), .joining):
            guard part.step == step, Int(part.part) == snapshotReceived else { return broken("a snapshot has a hole") }
            snapshotReceived += 1
            guard snapshotReceived == snapshotParts else { return [.storeSnapshot(part: Int(part.part))] }
            phase = .serving
            return [.storeSnapshot(part: Int(part.part)), .installSnapshot(step: step)]
        case (.average(let part), .serving):
            guard part.step == step, Int(part.chunk) < chunks, averages.insert(Int(part.chunk)).inserted else {
                return broken("an average came out of order")
            }
            return [.storeAverage(step: step, chunk: Int(part.chunk))]
        case (.commit(let commit), .serving):
            guard commit.step == step, averages.count == chunks else { return broken("a commit came out of order") }
            averages = []
            step += 1
            return [.apply(commit)]
        case (.lease(let lease), .serving):
            guard lease.step == step, lease.generation >= firstGeneration else {
                return broken("a lease came out of order")
            }
            return [.compute(lease)]
        case (.evaluate(let lease), .serving):
            guard lease.step == step else { return broken("an evaluation came out of order") }
            return [.evaluate(lease)]
        case (.restart(let restart), .serving):
            guard restart.step == step, restart.generation > firstGeneration else {
                return broken("a restart came out of order")
            }
            firstGeneration = restart.generation
            averages = []
            return [.restartStep(generation: restart.generation)]
        case (.heartbeat, _): return []
        case (.finish, _):
            // The coordinator waits for the word before it is gone itself.
            return leave(now: now) + [.finish]
        default: return broken("the coordinator spoke out of turn")
        }
    }

    private mutating func welcomed(_ welcome: Welcome) -> [WorkerAction] {
        guard welcome.run == run, run != 0 else { return broken("the welcome makes no sense") }
        guard welcome.term >= term else {
            phase = .ended
            return [
                .refused(
                    Refusal(
                        code: .otherRun,
                        reason: "it has been replaced by a newer coordinator of this run: stop the older one"))
            ]
        }
        term = welcome.term
        step = welcome.step
        // What is still to be handed over nobody waits for any more, and the replica will not stay as it is.
        session.withdraw { item in
            switch item {
            case .snapshot, .carry, .history: true
            default: false
            }
        }
        snapshotParts = Int(welcome.snapshotParts)
        configuration.heartbeatInterval = max(1_000_000, welcome.heartbeatInterval)
        // A coordinator may stand still for a while, settling a dispute: twice its own limit.
        configuration.silenceLimit = max(1_000_000_000, min(welcome.silenceLimit, 1 << 40) * 2)
        guard snapshotParts == 0 else {
            phase = .joining
            return [.adopt(welcome)]
        }
        guard offer?.step == step else { return broken("the welcome makes no sense") }
        phase = .serving
        return [.keepReplica(welcome)]
    }

    private func isOffered(_ recall: Recall) -> Bool {
        guard let offer, !recall.wantsReplica || recall.step == offer.step else { return false }
        guard let kept = offer.carries.first(where: { $0.step == recall.step }) else { return recall.shards.isEmpty }
        return Set(kept.shards).isSuperset(of: recall.shards)
    }

    /// What a ``WorkerAction/handOver(_:)`` asked for, in order.
    package mutating func handOver(_ items: [WorkerItem], now: UInt64) -> [WorkerAction] {
        guard phase == .greeting else { return [] }
        for item in items { session.enqueue(item) }
        return pump(now: now)
    }

    /// A chunk of a node's gradient is final, or a shard's result is: in the order of computation.
    package mutating func computed(_ items: [WorkerItem], now: UInt64) -> [WorkerAction] {
        guard phase == .serving else { return [] }
        for item in items { session.enqueue(item) }
        return pump(now: now)
    }

    /// What has come due by now: what credits let go, a heartbeat, joining anew after too long a silence.
    /// A pause of more than half the silence limit between two calls is taken for the worker's own.
    package mutating func tick(now: UInt64) -> [WorkerAction] {
        guard phase != .ended else { return [] }
        // A worker that was stopped itself does not know whether the coordinator spoke meanwhile.
        if let lastTick, now > lastTick + configuration.silenceLimit / 2 { lastHeard += now - lastTick }
        lastTick = now
        let silence = now.since(lastHeard)
        if silence > configuration.silenceLimit {
            return broken("the coordinator has been silent for \(silence / 1_000_000) ms")
        }
        var actions = pump(now: now)
        // Before an answer the only thing to say has been said.
        if hasHeard, now.since(lastSent) >= configuration.heartbeatInterval {
            actions.append(stamped(.heartbeat, now: now))
        }
        return actions
    }

    /// Says goodbye, so that nobody waits for a timeout.
    package mutating func leave(now: UInt64) -> [WorkerAction] {
        guard phase != .ended else { return [] }
        phase = .ended
        return [stamped(.goodbye, now: now)]
    }

    private mutating func broken(_ reason: String) -> [WorkerAction] {
        phase = .ended
        return [.rejoin(reason: reason)]
    }

    private mutating func stamped(_ item: WorkerItem, now: UInt64) -> WorkerAction {
        let stamp = session.stamp()
        lastSent = now
        return .send(item, sequence: stamp.sequence, acknowledged: stamp.acknowledged)
    }

    private mutating func pump(now: UInt64) -> [WorkerAction] {
        var actions: [WorkerAction] = []
        for item in session.releasable() {
            // What is late for its step would be discarded: spare the wire.
            switch item {
            case .gradient(let part) where part.step != step || part.generation < firstGeneration: continue
            case .nodeResult(let result) where result.step != step || result.generation < firstGeneration: continue
            case .audited(let report) where report.step != step || report.generation < firstGeneration: continue
            case .evaluated(let result) where result.step != step: continue
            default: actions.append(stamped(item, now: now))
            }
        }
        if session.owesAcknowledgement { actions.append(stamped(.heartbeat, now: now)) }
        return actions
    }
}
