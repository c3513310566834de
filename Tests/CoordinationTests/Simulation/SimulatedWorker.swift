import Coordination

/// A worker's process: its machine, one incarnation after another, and the data and compute thread beside it, as
/// `WorkerLoop` and `WorkerCompute` have them.
struct SimulatedWorker: Hashable {
    /// What is wrong with it.
    enum Lie: Hashable {
        /// Its gradients are wrong wherever an audit looks.
        case auditedGradient
        /// It sends what is not finite.
        case notFinite
        /// Its update of this step goes wrong.
        case parameters(step: UInt64)
    }

    /// A piece of the compute thread's work.
    enum Job: Hashable {
        case install(step: UInt64)
        case apply(Commit, averages: [UInt64])
        case lease(Lease, carried: [UInt64])
        /// What follows the first piece of a lease: gradients of one chunk, then the results.
        case chunk(Lease, Int)
        case results(Lease)
        case evaluate(EvaluationLease)
        case offer

        /// Not yet begun, and of no use once its step or session is over.
        var isComputation: Bool { if case .lease = self { true } else { false } }
        var isEvaluation: Bool { if case .evaluate = self { true } else { false } }
    }

    /// What the compute thread tells the main one.
    enum Event: Hashable {
        case applied(Applied)
        case gradients([GradientPart], [UInt64])
        case results([NodeResult], [[UInt64]])
        case audited(AuditReport)
        case evaluated(EvaluationResult)
        case offered(Offer?)
    }

    enum Ending: Hashable { case refused, finished }

    private struct GradientKey: Hashable {
        let generation: UInt32
        let step: UInt64
        let node: TreeNode
        let chunk: Int
    }

    private struct Held: Hashable {
        let step: UInt64
        let value: UInt64
    }

    let name: String
    let process: UInt32
    let lie: Lie?
    private let run: SimulatedRun
    private(set) var machine: WorkerMachine
    /// The session is over; a new one begins once the compute thread has answered.
    private(set) var awaitsOffer = false
    private(set) var ending: Ending?
    private(set) var jobs: [Job] = []
    private(set) var outgoing: [SimulatedMessage] = []

    // The main thread's.
    private var averages: [Int: UInt64] = [:]
    private var gradients: [GradientKey: UInt64] = [:]
    private var results: [TreeNode: [UInt64]] = [:]
    private var handedOver: [CarryPart: UInt64] = [:]
    private var parts: [[UInt64]] = []

    // The compute thread's.
    private var replica = FakeReplica()
    private var step: UInt64?
    private var shelf: [Int: [Held]] = [:]
    private var history: [HistoryRecord] = []
    /// Of the lease being computed.
    private var entering: [Int: UInt64] = [:]

    init(name: String, process: UInt32, incarnation: WorkerID, run: SimulatedRun, lie: Lie? = nil, now: UInt64) {
        self.name = name
        self.process = process
        self.lie = lie
        self.run = run
        machine = WorkerMachine(worker: incarnation, configuration: .init(), now: now)
        perform(machine.start(now: now), payload: [], now: now)
    }

    // MARK: Events

    mutating func received(_ arrived: SimulatedMessage, now: UInt64) {
        guard ending == nil, !awaitsOffer else { return }
        let actions = machine.received(arrived.message, arrived.envelope, now: now)
        perform(actions, payload: arrived.payload, now: now)
    }

    mutating func tick(now: UInt64) {
        guard ending == nil, !awaitsOffer else { return }
        perform(machine.tick(now: now), payload: [], now: now)
    }

    mutating func takeOutgoing() -> [SimulatedMessage] {
        defer { outgoing = [] }
        return outgoing
    }

    mutating func heard(_ event: Event, now: UInt64) {
        guard ending == nil else { return }
        if awaitsOffer {
            // Other events are of a session that is over.
            if case .offered(let offer) = event { greet(offer, now: now) }
            return
        }
        switch event {
        case .applied(let applied):
            perform(machine.computed([.applied(applied)], now: now), payload: [], now: now)
        case .gradients(let parts, let values):
            guard parts[0].step == machine.step else { return }
            for (part, value) in zip(parts, values) { gradients[key(part)] = value }
            perform(machine.computed(parts.map { .gradient($0) }, now: now), payload: [], now: now)
        case .results(let results, let values):
            guard results[0].step == machine.step else { return }
            for (result, carries) in zip(results, values) { self.results[result.node] = carries }
            perform(machine.computed(results.map { .nodeResult($0) }, now: now), payload: [], now: now)
        case .audited(let report):
            perform(machine.computed([.audited(report)], now: now), payload: [], now: now)
        case .evaluated(let result):
            perform(machine.computed([.evaluated(result)], now: now), payload: [], now: now)
        case .offered: break
        }
    }

    /// The incarnation that the next greeting takes.
    var nextIncarnation: WorkerID { mix([9, machine.worker, UInt64(process)]) | 1 }

    private mutating func greet(_ offer: Offer?, now: UInt64) {
        awaitsOffer = false
        machine = WorkerMachine(
            worker: nextIncarnation, configuration: .init(), now: now, run: offer == nil ? 0 : run.number,
            term: machine.term, offer: offer)
        perform(machine.start(now: now), payload: [], now: now)
    }

    // MARK: The machine's actions

    private mutating func perform(_ actions: [WorkerAction], payload: [UInt64], now: UInt64) {
        for action in actions where ending == nil && !awaitsOffer {
            switch action {
            case .send(let item, let sequence, let acknowledged):
                let (message, payload) = materialise(item)
                let envelope = Envelope(
                    run: machine.runInEnvelopes, worker: machine.worker, sequence: sequence,
                    acknowledged: acknowledged)
                outgoing.append(SimulatedMessage(message: message, envelope: envelope, payload: payload))
            case .adopt:
                // The old model and its thread are dropped.
                (jobs, step, shelf, history, parts, handedOver) = ([], nil, [:], [], [], [:])
                machine.adopted(chunks: run.chunks)
            case .keepReplica(let welcome):
                handedOver = [:]
                machine.adopted(chunks: run.chunks)
                post(.install(step: welcome.step))
            case .handOver(let recall): handOver(recall, now: now)
            case .storeSnapshot: parts.append(payload)
            case .installSnapshot(let step):
                // Parts of two replicas make one that differs from every other.
                if let whole = FakeReplica(parts: parts) { replica = whole } else { replica.parameters = 1 }
                post(.install(step: step))
            case .storeAverage(_, let chunk): averages[chunk] = payload[0]
            case .apply(let commit):
                post(.apply(commit, averages: (0..<run.chunks).map { averages[$0]! }))
                averages = [:]
                gradients = [:]
                results = [:]
            case .compute(let lease): post(.lease(lease, carried: payload))
            case .evaluate(let lease): post(.evaluate(lease))
            case .restartStep(let generation):
                jobs.removeAll { if case .lease(let lease, _) = $0 { lease.generation < generation } else { false } }
                averages = [:]
                gradients = gradients.filter { $0.key.generation >= generation }
                results = [:]
            case .discard: break
            case .rejoin:
                (averages, gradients, results, handedOver) = ([:], [:], [:], [:])
                awaitsOffer = true
                post(.offer)
            case .refused: ending = .refused
            case .finish: ending = .finished
            }
        }
    }

    private mutating func handOver(_ recall: Recall, now: UInt64) {
        var items: [WorkerItem] = []
        for shard in recall.shards {
            guard let value = held(Int(shard), step: recall.step) else { continue }
            let part = CarryPart(step: recall.step, shard: shard)
            handedOver[part] = value
            items.append(.carry(part))
        }
        if recall.wantsReplica {
            items += (0..<run.snapshotParts).map {
                .snapshot(SnapshotPart(step: recall.step, part: UInt32($0)))
            }
            items.append(.history(history.filter { $0.step >= recall.historyFrom && $0.step <= recall.step }))
        }
        perform(machine.handOver(items, now: now), payload: [], now: now)
    }

    private func materialise(_ item: WorkerItem) -> (Message, [UInt64]) {
        switch item {
        case .hello:
            let hello = Hello(
                run: machine.runInEnvelopes, name: name, host: "h", process: process, threads: 1, software: "test",
                term: machine.term, offer: machine.offer)
            return (.hello(hello), [])
        case .gradient(let part): return (.gradient(part), [gradients[key(part)]!])
        case .nodeResult(let result): return (.nodeResult(result), results[result.node]!)
        case .applied(let applied): return (.applied(applied), [])
        case .heartbeat: return (.heartbeat, [])
        case .goodbye: return (.goodbye, [])
        case .audited(let report): return (.audited(report), [])
        case .evaluated(let result): return (.evaluated(result), [])
        case .snapshot(let part): return (.snapshot(part), replica.part(Int(part.part)))
        case .carry(let part): return (.carry(part), [handedOver[part]!])
        case .history(let records): return (.history(records), [])
        }
    }

    private func key(_ part: GradientPart) -> GradientKey {
        GradientKey(generation: part.generation, step: part.step, node: part.node, chunk: Int(part.chunk))
    }

    // MARK: The compute thread

    private mutating func post(_ job: Job) {
        switch job {
        case .apply, .offer: jobs.removeAll { $0.isComputation || $0.isEvaluation }
        case .lease: jobs.removeAll(where: \.isEvaluation)
        default: break
        }
        jobs.append(job)
    }

    /// Does the next piece of work.
    mutating func computePiece() -> Event? {
        guard ending == nil, !jobs.isEmpty else { return nil }
        switch jobs.removeFirst() {
        case .install(let step):
            self.step = step
            return .applied(Applied(step: step, digest: replica.parameters))
        case .apply(let commit, let averages):
            replica.update(averages: averages, scalars: commit.learningRateBits)
            if lie == .parameters(step: commit.step) { replica.parameters ^= mix(UInt64(process)) }
            step = commit.step + 1
            history.append(
                HistoryRecord(
                    step: commit.step + 1, learningRateBits: commit.learningRateBits, digest: replica.parameters,
                    facts: commit.record))
            return .applied(Applied(step: commit.step + 1, digest: replica.parameters))
        case .lease(let lease, let carried):
            for (shard, value) in zip(lease.carried, carried) { keep(value, Int(shard), step: lease.step) }
            entering = [:]
            for shard in lease.shards.map(Int.init) {
                // A worker that was promised to hold a carry and does not shows up as a wrong digest.
                entering[shard] = lease.resetsCarry ? 0 : held(shard, step: lease.step) ?? 0
            }
            let pieces = (0..<run.chunks).reversed().map { Job.chunk(lease, $0) } + [.results(lease)]
            jobs.insert(contentsOf: lease.isAudit ? [.results(lease)] : pieces, at: 0)
            return nil
        case .chunk(let lease, let chunk):
            let tree = ReductionTree(leaves: run.shards)
            let nodes = tree.cover(lease.shards.map(Int.init), apart: lease.apart.map(Int.init))
            let parts = nodes.map {
                GradientPart(generation: lease.generation, step: lease.step, node: $0, chunk: UInt32(chunk))
            }
            let values = nodes.map { node in
                lied(lease, isAudited: tree.shards(node).map(Array.init) == lease.apart.map { [Int($0)] }) {
                    FakeArithmetic.node(node, of: tree) {
                        FakeArithmetic.leaf(
                            step: lease.step, replica: replica, shard: $0, carry: entering[$0]!, chunk: chunk)
                    }
                }
            }
            return .gradients(parts, values)
        case .results(let lease):
            if lease.isAudit {
                let shard = Int(lease.shards[0])
                var answer = ShardAnswer.fake(
                    step: lease.step, replica: replica, shard: shard, carry: entering[shard]!, chunks: run.chunks)
                answer.chunkDigests[0] = lied(lease, isAudited: true) { answer.chunkDigests[0] }
                return .audited(
                    AuditReport(
                        generation: lease.generation, step: lease.step, shard: UInt32(shard), answer: answer))
            }
            let tree = ReductionTree(leaves: run.shards)
            // As few carries fit into a frame as that.
            let nodes = tree.cover(lease.shards.map(Int.init), apart: lease.apart.map(Int.init)).flatMap {
                tree.parts(of: $0, atMost: 2)
            }
            var results: [NodeResult] = []
            var values: [[UInt64]] = []
            for node in nodes {
                var result = NodeResult(generation: lease.generation, step: lease.step, node: node, lossBits: [])
                var carries: [UInt64] = []
                for shard in tree.shards(node)! {
                    let carry = entering[shard]!
                    let next = FakeArithmetic.carry(carry, step: lease.step, replica: replica, shard: shard)
                    keep(next, shard, step: lease.step + 1)
                    carries.append(next)
                    result.lossBits.append(
                        FakeArithmetic.loss(step: lease.step, replica: replica, shard: shard, carry: carry))
                }
                results.append(result)
                values.append(carries)
            }
            return .results(results, values)
        case .evaluate(let lease):
            return .evaluated(
                EvaluationResult(
                    step: lease.step, segments: lease.segments,
                    lossBits: lease.segments.map {
                        FakeArithmetic.evaluation(replica: replica, segment: Int($0))
                    }))
        case .offer:
            return .offered(
                step.map { step in
                    let carries = Set([step - min(step, 1), step, step + 1]).sorted().compactMap { step in
                        let shards = shelf.filter { $0.value.contains { $0.step == step } }.keys.sorted()
                        return shards.isEmpty ? nil : Offer.Carries(step: step, shards: shards.map(UInt32.init))
                    }
                    return Offer(
                        step: step, digest: replica.parameters, stateDigest: replica.state, carries: carries,
                        historyFrom: history.first?.step ?? step + 1)
                })
        }
    }

    private func lied(_ lease: Lease, isAudited: Bool, _ value: () -> UInt64) -> UInt64 {
        switch lie {
        case .auditedGradient where isAudited: value() ^ mix(UInt64(process))
        case .notFinite where lease.step >= 2: FakeArithmetic.notFinite
        default: value()
        }
    }

    private mutating func keep(_ value: UInt64, _ shard: Int, step: UInt64) {
        var kept = shelf[shard, default: []].filter { $0.step != step }
        kept.append(Held(step: step, value: value))
        shelf[shard] = Array(kept.suffix(2))
    }

    private func held(_ shard: Int, step: UInt64) -> UInt64? { shelf[shard]?.first { $0.step == step }?.value }
}
