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
        case apply(Commit, average: SharedPlace)
        case lease(Lease, carried: [UInt64])
        /// What follows the first piece of a lease: gradients of one chunk, then the results.
        case chunk(Lease, Int, [NodeGradient])
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
        case gradients(generation: UInt32, step: UInt64, [NodeGradient], chunk: Int)
        case results([NodeResult], [[UInt64]])
        case audited(AuditReport)
        case evaluated(EvaluationResult)
        case offered(Offer?)
    }

    enum Ending: Hashable {
        case refused(Refusal)
        case finished
    }

    private struct GradientKey: Hashable {
        let generation: UInt32
        let node: TreeNode
    }

    /// Where a node's gradient is computed.
    struct NodeGradient: Hashable {
        let node: TreeNode
        let place: SharedPlace
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
    /// Before it asks the compute thread what it could offer: a queued lease may begin meanwhile.
    private var pauses = false
    private(set) var ending: Ending?
    private(set) var jobs: [Job] = []
    private(set) var outgoing: [SimulatedMessage] = []

    // The main thread's.
    /// Whether its process tells coordinators of its memory: until it finds that it cannot open theirs.
    private var offersMemory: Bool
    /// What was opened of the coordinator's, where the two share memory.
    private var sharedMemory: Set<SharedPlace>?
    private var average: SharedPlace?
    private var averagePool = SimulatedPool()
    private var gradients: [GradientKey: SharedPlace] = [:]
    /// Of events that it has not heard yet.
    private var inbox: [SharedPlace] = []
    private var results: [TreeNode: [UInt64]] = [:]
    private var handedOver: [CarryPart: UInt64] = [:]
    private var parts: [[UInt64]] = []

    // The compute thread's.
    private var gradientPool = SimulatedPool()
    /// Gradients of the open step.
    private var lent: Set<SharedPlace> = []
    private var replica = FakeReplica()
    private var step: UInt64?
    private var shelf: [Int: [Held]] = [:]
    private var history: [HistoryRecord] = []
    /// Of the lease being computed.
    private var entering: [Int: UInt64] = [:]

    init(
        name: String, process: UInt32, incarnation: WorkerID, run: SimulatedRun, lie: Lie? = nil,
        sharesMemory: Bool, now: UInt64, _ memory: inout SimulatedMemory
    ) {
        self.name = name
        self.process = process
        self.lie = lie
        self.run = run
        offersMemory = sharesMemory
        machine = WorkerMachine(worker: incarnation, configuration: .init(), now: now)
        perform(machine.start(now: now), payload: [], now: now, &memory)
    }

    // MARK: Events

    mutating func received(_ arrived: SimulatedMessage, now: UInt64, _ memory: inout SimulatedMemory) {
        guard ending == nil, !awaitsOffer else { return }
        var lent: SharedPlace?
        if case .average(let part) = arrived.message, let place = part.memory, sharedMemory != nil {
            guard open(place, &memory) else { return }
            lent = place
        }
        let actions = machine.received(arrived.message, arrived.envelope, now: now)
        perform(actions, payload: arrived.payload, lent: lent, now: now, &memory)
    }

    mutating func tick(now: UInt64, _ memory: inout SimulatedMemory) {
        guard ending == nil, !awaitsOffer else { return }
        perform(machine.tick(now: now), payload: [], now: now, &memory)
    }

    /// Whether its session has just ended: it is to rest before it seeks the next one.
    mutating func takePause() -> Bool {
        defer { pauses = false }
        return pauses
    }

    mutating func seekSession() { post(.offer) }

    mutating func takeOutgoing() -> [SimulatedMessage] {
        defer { outgoing = [] }
        return outgoing
    }

    mutating func heard(_ event: Event, now: UInt64, _ memory: inout SimulatedMemory) {
        guard ending == nil else { return }
        if case .gradients(_, _, let nodes, _) = event {
            for node in nodes { inbox.remove(at: inbox.firstIndex(of: node.place)!) }
        }
        if awaitsOffer {
            // Other events are of a session that is over.
            if case .offered(let offer) = event { greet(offer, now: now, &memory) }
            return
        }
        switch event {
        case .applied(let applied):
            perform(machine.computed([.applied(applied)], now: now), payload: [], now: now, &memory)
        case .gradients(let generation, let step, let nodes, let chunk):
            guard step == machine.step else { return }
            for node in nodes { gradients[GradientKey(generation: generation, node: node.node)] = node.place }
            let items = nodes.map {
                WorkerItem.gradient(
                    GradientPart(generation: generation, step: step, node: $0.node, chunk: UInt32(chunk)))
            }
            perform(machine.computed(items, now: now), payload: [], now: now, &memory)
        case .results(let results, let values):
            guard results[0].step == machine.step else { return }
            for (result, carries) in zip(results, values) { self.results[result.node] = carries }
            perform(machine.computed(results.map { .nodeResult($0) }, now: now), payload: [], now: now, &memory)
        case .audited(let report):
            perform(machine.computed([.audited(report)], now: now), payload: [], now: now, &memory)
        case .evaluated(let result):
            perform(machine.computed([.evaluated(result)], now: now), payload: [], now: now, &memory)
        case .offered: break
        }
    }

    /// The incarnation that the next greeting takes.
    var nextIncarnation: WorkerID { mix([9, machine.worker, UInt64(process)]) | 1 }

    private mutating func greet(_ offer: Offer?, now: UInt64, _ memory: inout SimulatedMemory) {
        awaitsOffer = false
        machine = WorkerMachine(
            worker: nextIncarnation, configuration: .init(), now: now, run: offer == nil ? 0 : run.number,
            term: machine.term, offer: offer)
        perform(machine.start(now: now), payload: [], now: now, &memory)
    }

    // MARK: The machine's actions

    private mutating func perform(
        _ actions: [WorkerAction], payload: [UInt64], lent: SharedPlace? = nil, now: UInt64,
        _ memory: inout SimulatedMemory
    ) {
        for action in actions where ending == nil && !awaitsOffer {
            switch action {
            case .send(let item, let sequence, let acknowledged):
                let (message, payload) = materialise(item, memory)
                let envelope = Envelope(
                    run: machine.runInEnvelopes, worker: machine.worker, sequence: sequence,
                    acknowledged: acknowledged)
                outgoing.append(SimulatedMessage(message: message, envelope: envelope, payload: payload))
            case .adopt(let welcome):
                guard shareMemory(welcome, &memory) else { return }
                // The old model and its thread are dropped.
                (jobs, step, shelf, history, parts, handedOver) = ([], nil, [:], [], [], [:])
                averagePool = SimulatedPool()
                machine.adopted(chunks: run.chunks)
            case .keepReplica(let welcome):
                guard shareMemory(welcome, &memory) else { return }
                handedOver = [:]
                machine.adopted(chunks: run.chunks)
                post(.install(step: welcome.step))
            case .handOver(let recall): handOver(recall, now: now, &memory)
            case .storeSnapshot: parts.append(payload)
            case .installSnapshot(let step):
                // Parts of two replicas make one that differs from every other.
                if let whole = FakeReplica(parts: parts) { replica = whole } else { replica.parameters = 1 }
                post(.install(step: step))
            case .storeAverage(_, let chunk): store(averageOf: chunk, payload, lent, &memory)
            case .apply(let commit):
                post(.apply(commit, average: average!))
                average = nil
                gradients = [:]
                results = [:]
            case .compute(let lease): post(.lease(lease, carried: payload))
            case .evaluate(let lease): post(.evaluate(lease))
            case .restartStep(let generation):
                jobs.removeAll { if case .lease(let lease, _) = $0 { lease.generation < generation } else { false } }
                average = nil
                gradients = gradients.filter { $0.key.generation >= generation }
                results = [:]
            case .discard: break
            case .rejoin: leaveSession()
            case .refused(let refusal): ending = .refused(refusal)
            case .finish: ending = .finished
            }
        }
    }

    private mutating func leaveSession() {
        (average, sharedMemory, gradients, results, handedOver) = (nil, nil, [:], [:], [:])
        (awaitsOffer, pauses) = (true, true)
    }

    /// Opens what the coordinator shares, where it does.
    private mutating func shareMemory(_ welcome: Welcome, _ memory: inout SimulatedMemory) -> Bool {
        guard let place = welcome.memory else { return true }
        sharedMemory = []
        return open(place, &memory)
    }

    /// Of a coordinator that has ended nothing more can be opened: it joins anew; where nothing but what was to be tried
    /// could be opened at all, to be sent everything in messages.
    private mutating func open(_ place: SharedPlace, _ memory: inout SimulatedMemory) -> Bool {
        guard sharedMemory!.contains(place) || memory.open(place) else {
            if sharedMemory!.count < 2 { offersMemory = false }
            leaveSession()
            return false
        }
        sharedMemory!.insert(place)
        return true
    }

    private mutating func store(
        averageOf chunk: Int, _ payload: [UInt64], _ lent: SharedPlace?, _ memory: inout SimulatedMemory
    ) {
        if let lent {
            average = lent
            return
        }
        let applying = jobs.compactMap { if case .apply(_, let average) = $0 { average } else { nil } }
        let target = average ?? averagePool.take(held: Set(applying), by: process, &memory)
        average = target
        memory[target, chunk] = payload[0]
    }

    private mutating func handOver(_ recall: Recall, now: UInt64, _ memory: inout SimulatedMemory) {
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
        perform(machine.handOver(items, now: now), payload: [], now: now, &memory)
    }

    private func materialise(_ item: WorkerItem, _ memory: SimulatedMemory) -> (Message, [UInt64]) {
        switch item {
        case .hello:
            let hello = Hello(
                run: machine.runInEnvelopes, name: name, host: "h", process: process, threads: 1, software: "test",
                term: machine.term, offer: machine.offer,
                memory: offersMemory ? SimulatedMemory.probe(of: process) : nil)
            return (.hello(hello), [])
        case .gradient(var part):
            let gradient = gradients[GradientKey(generation: part.generation, node: part.node)]!
            guard sharedMemory != nil else { return (.gradient(part), [memory[gradient, Int(part.chunk)]]) }
            part.memory = gradient
            return (.gradient(part), [])
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
    mutating func computePiece(_ memory: inout SimulatedMemory) -> Event? {
        guard ending == nil, !jobs.isEmpty else { return nil }
        switch jobs.removeFirst() {
        case .install(let step):
            self.step = step
            // A coordinator may still read what the last session lent it.
            gradientPool = SimulatedPool()
            lent = []
            return .applied(Applied(step: step, digest: replica.parameters))
        case .apply(let commit, let average):
            replica.update(
                averages: (0..<run.chunks).map { memory[average, $0] }, scalars: commit.learningRateBits)
            if lie == .parameters(step: commit.step) { replica.parameters ^= mix(UInt64(process)) }
            step = commit.step + 1
            lent = []
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
            let nodes = takeNodes(of: lease, &memory)
            let pieces = (0..<run.chunks).reversed().map { Job.chunk(lease, $0, nodes) } + [.results(lease)]
            jobs.insert(contentsOf: lease.isAudit ? [.results(lease)] : pieces, at: 0)
            return nil
        case .chunk(let lease, let chunk, let nodes):
            let tree = ReductionTree(leaves: run.shards)
            for node in nodes {
                let isAudited = tree.shards(node.node).map(Array.init) == lease.apart.map { [Int($0)] }
                memory[node.place, chunk] = lied(lease, isAudited: isAudited) {
                    FakeArithmetic.node(node.node, of: tree) {
                        FakeArithmetic.leaf(
                            step: lease.step, replica: replica, shard: $0, carry: entering[$0]!, chunk: chunk)
                    }
                }
            }
            inbox += nodes.map(\.place)
            return .gradients(generation: lease.generation, step: lease.step, nodes, chunk: chunk)
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

    /// Where a lease's gradients are computed. Those of the open step, and those that the main thread holds or is yet to
    /// hear of, are not free.
    private mutating func takeNodes(of lease: Lease, _ memory: inout SimulatedMemory) -> [NodeGradient] {
        var held = Set(gradients.values).union(inbox).union(lent)
        let nodes = ReductionTree(leaves: run.shards).cover(
            lease.shards.map(Int.init), apart: lease.apart.map(Int.init))
        return nodes.map { node in
            let place = gradientPool.take(held: held, by: process, &memory)
            held.insert(place)
            if !lease.isAudit { lent.insert(place) }
            return NodeGradient(node: node, place: place)
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
