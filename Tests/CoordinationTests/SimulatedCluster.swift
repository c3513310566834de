import Coordination

/// SplitMix64: the whole simulation is a function of its seed.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return mix(state)
    }
    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
}

func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

func mix(_ values: [UInt64]) -> UInt64 { values.reduce(0x1234_5678) { mix($0 &* 31 &+ $1) } }

/// The arithmetic, stood in for by hashes: any value computed from other inputs, or in another order, differs.
enum FakeArithmetic {
    static func leaf(step: UInt64, replica: UInt64, shard: Int, carry: UInt64, chunk: Int) -> UInt64 {
        mix([1, step, replica, UInt64(shard), carry, UInt64(chunk)])
    }
    static func add(_ left: UInt64, _ right: UInt64) -> UInt64 { mix([2, left, right]) }
    static func carry(_ carry: UInt64, step: UInt64, replica: UInt64, shard: Int) -> UInt64 {
        mix([3, carry, step, replica, UInt64(shard)])
    }
    static func loss(step: UInt64, replica: UInt64, shard: Int, carry: UInt64) -> UInt64 {
        mix([4, step, replica, UInt64(shard), carry])
    }
    static func update(_ replica: UInt64, averages: [UInt64], scalars: UInt64) -> UInt64 {
        mix([5, replica, scalars] + averages)
    }
    static func node(_ node: TreeNode, of tree: ReductionTree, leaf: (Int) -> UInt64) -> UInt64 {
        guard let (left, right) = tree.children(of: node) else { return leaf(tree.shards(node)!.lowerBound) }
        return add(self.node(left, of: tree, leaf: leaf), self.node(right, of: tree, leaf: leaf))
    }
}

/// A coordinator, workers and a network of the worst kind in one thread, on virtual time.
struct SimulatedCluster {
    struct Faults {
        var crash = 0.0
        var hang = 0.0
        var lose = 0.0
        var duplicate = 0.0
        var reorder = 0.0
        var partition = 0.0
        /// No new fault after this many nanoseconds.
        var until: UInt64 = 4_000_000_000
        static let none = Faults()
        static let all = Faults(
            crash: 0.02, hang: 0.01, lose: 0.002, duplicate: 0.01, reorder: 0.004, partition: 0.004)
    }

    struct Outcome: Equatable {
        var digests: [UInt64]
        var losses: [UInt64]
    }

    struct Stuck: Error, CustomStringConvertible { let description: String }

    private struct Worker {
        var machine: WorkerMachine
        var slot: Int
        var replica: UInt64 = 0
        var parts: [UInt64] = []
        var averages: [Int: UInt64] = [:]
        var carries: [Int: UInt64] = [:]
        var nextCarries: [Int: UInt64] = [:]
        var hungUntil: UInt64 = 0
        var unreachableUntil: UInt64 = 0
        var computeFreeAt: UInt64 = 0
    }

    private enum Happening {
        case toCoordinator(Message, Envelope, [UInt64])
        case toWorker(WorkerID, Message, Envelope, [UInt64])
        case computed(WorkerID, [WorkerItem], replica: UInt64, carries: [Int: UInt64])
        case spawn(slot: Int)
        case tick
    }

    private static let run: UInt64 = 77
    private let shards: Int
    private let chunks: Int
    private let steps: UInt64
    private let period: UInt64
    private let faults: Faults
    private let workerCount: Int
    private var random: SeededRandom
    private var now: UInt64 = 0
    private var queue: [(at: UInt64, order: Int, what: Happening)] = []
    private var posted = 0
    private var lastArrival: [UInt64: UInt64] = [:]
    private var workers: [WorkerID: Worker] = [:]
    private var machine: CoordinatorMachine
    private(set) var faultsInjected = 0

    // The coordinator's data.
    private var replica: UInt64 = 42
    private var folds: [Int: [TreeNode: UInt64]] = [:]
    private var averages: [UInt64: [Int: UInt64]] = [:]
    private var scalars: [UInt64: UInt64] = [:]
    private var carries: [UInt64]
    private var nextCarries: [Int: UInt64] = [:]
    private var losses: [Int: UInt64] = [:]
    private var snapshots: [WorkerID: UInt64] = [:]
    private var outcome = Outcome(digests: [], losses: [])

    init(
        seed: UInt64, workers: Int, shards: Int = 8, chunks: Int = 3, steps: UInt64 = 6, period: UInt64 = 4,
        faults: Faults = .none
    ) {
        random = SeededRandom(state: seed)
        self.shards = shards
        self.chunks = chunks
        self.steps = steps
        self.period = period
        self.faults = faults
        workerCount = workers
        var configuration = CoordinatorMachine.Configuration(
            run: Self.run, shards: shards, chunks: chunks, snapshotParts: 3, totalSteps: steps, carryPeriod: period)
        configuration.silenceLimit = 1_000_000_000
        configuration.window = 8
        machine = CoordinatorMachine(configuration)
        carries = Array(repeating: 0, count: shards)
    }

    /// Runs to the end.
    ///
    /// - Throws: ``Stuck`` where the run has not ended 120 virtual seconds after the last fault.
    mutating func run() throws(Stuck) -> Outcome {
        machine.digested(step: 0, digest: replica)
        for slot in 0..<workerCount { post(.spawn(slot: slot), after: UInt64(slot) * 1_000_000) }
        post(.tick, after: 100_000_000)
        while !machine.isFinished {
            guard
                let index = queue.indices.min(by: { (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order) })
            else { throw Stuck(description: "nothing is left to happen in step \(machine.step)") }
            let next = queue.remove(at: index)
            now = max(now, next.at)
            if now > faults.until + 120_000_000_000 {
                throw Stuck(description: machine.waitingReason(now: now) ?? "finished but not ended")
            }
            happen(next.what)
        }
        return outcome
    }

    // MARK: Events

    private mutating func post(_ what: Happening, after delay: UInt64) {
        posted += 1
        queue.append((now + delay, posted, what))
    }

    private var mayFail: Bool { now < faults.until }

    private mutating func happen(_ what: Happening) {
        switch what {
        case .spawn(let slot):
            let id = random.next() | 1
            var worker = Worker(machine: WorkerMachine(worker: id, configuration: .init(), now: now), slot: slot)
            let actions = worker.machine.start(now: now)
            workers[id] = worker
            perform(actions, of: id, payload: [])
        case .tick:
            perform(machine.tick(now: now), payload: [])
            for id in workers.keys.sorted() {
                if mayFail, random.chance(faults.crash) {
                    faultsInjected += 1
                    crash(id)
                    continue
                }
                if mayFail, random.chance(faults.hang) {
                    faultsInjected += 1
                    workers[id]!.hungUntil = now + .random(in: 0...3_000_000_000, using: &random)
                }
                if mayFail, random.chance(faults.partition) {
                    faultsInjected += 1
                    workers[id]!.unreachableUntil = now + .random(in: 0...3_000_000_000, using: &random)
                }
                guard workers[id]!.hungUntil <= now else { continue }
                let actions = workers[id]!.machine.tick(now: now)
                perform(actions, of: id, payload: [])
            }
            post(.tick, after: 100_000_000)
        case .toCoordinator(let message, let envelope, let payload):
            perform(machine.received(message, envelope, now: now), payload: payload, message: message)
        case .toWorker(let id, let message, let envelope, let payload):
            guard let worker = workers[id] else { return }
            if worker.hungUntil > now {
                post(what, after: worker.hungUntil - now)
                return
            }
            let actions = workers[id]!.machine.received(message, envelope, now: now)
            perform(actions, of: id, payload: payload)
        case .computed(let id, let items, let replica, let carries):
            guard let worker = workers[id] else { return }
            if worker.hungUntil > now {
                post(what, after: worker.hungUntil - now)
                return
            }
            _ = replica
            for (shard, carry) in carries { workers[id]!.nextCarries[shard] = carry }
            let actions = workers[id]!.machine.computed(items, now: now)
            perform(actions, of: id, payload: [])
        }
    }

    private mutating func crash(_ id: WorkerID) {
        guard let worker = workers.removeValue(forKey: id) else { return }
        // Half of the time a watcher reports it at once, else silence tells.
        if random.chance(0.5) { perform(machine.lose(id, "crashed", now: now), payload: []) }
        post(.spawn(slot: worker.slot), after: .random(in: 0...2_000_000_000, using: &random))
    }

    // MARK: Network

    private mutating func transmit(_ what: Happening, channel: UInt64, worker: WorkerID) {
        if let until = workers[worker]?.unreachableUntil, until > now { return }
        if mayFail, random.chance(faults.lose) {
            faultsInjected += 1
            return
        }
        var at = now + .random(in: 100_000...2_000_000, using: &random)
        if mayFail, random.chance(faults.reorder) {
            faultsInjected += 1
        } else {
            at = max(at, lastArrival[channel, default: 0] + 1)
            lastArrival[channel] = at
        }
        post(what, after: at - now)
        if mayFail, random.chance(faults.duplicate) {
            faultsInjected += 1
            post(what, after: at - now + .random(in: 1...5_000_000, using: &random))
        }
    }

    // MARK: The coordinator's loop

    private mutating func perform(_ actions: [CoordinatorAction], payload: [UInt64], message: Message? = nil) {
        var committed: UInt64?
        for action in actions {
            switch action {
            case .send(let worker, let item, let sequence, let acknowledged):
                let (message, payload) = materialise(item, for: worker)
                let envelope = Envelope(
                    run: Self.run, worker: worker, sequence: sequence, acknowledged: acknowledged)
                transmit(.toWorker(worker, message, envelope, payload), channel: worker, worker: worker)
            case .refuse(let worker, let refusal):
                let envelope = Envelope(run: Self.run, worker: worker, sequence: 0, acknowledged: 0)
                transmit(.toWorker(worker, .refuse(refusal), envelope, []), channel: worker, worker: worker)
            case .takeSnapshot(let worker, _): snapshots[worker] = replica
            case .fold(let chunk, let changes): fold(chunk, changes, payload[0])
            case .acceptShard(let shard):
                guard case .shardResult(let result) = message else { preconditionFailure() }
                losses[shard] = result.lossBits
                nextCarries[shard] = payload[0]
            case .commit(let step):
                scalars[step] = mix((0..<shards).map { losses[$0]! })
                carries = (0..<shards).map { nextCarries[$0]! }
                nextCarries = [:]
                losses = [:]
                folds = [:]
                committed = step
            case .abandonStep, .settle, .storeRecalledPart, .storeRecalledCarry, .storeHistory, .verifyRecalled,
                .recovered, .keptCheckpoint, .fail:
                preconditionFailure("no worker of this cluster lies, and its coordinator lives")
            case .discard, .joined, .evict, .ban, .note, .finished: break
            }
        }
        if let step = committed {
            let own = averages[step]!
            replica = FakeArithmetic.update(
                replica, averages: (0..<chunks).map { own[$0]! }, scalars: scalars[step]!)
            outcome.digests.append(replica)
            outcome.losses.append(scalars[step]!)
            machine.digested(step: step + 1, digest: replica)
            averages = averages.filter { $0.key >= machine.oldestNeededStep }
        }
    }

    private mutating func fold(_ chunk: Int, _ changes: [ChunkFold.Change], _ value: UInt64) {
        for change in changes {
            switch change {
            case .store(let node): folds[chunk, default: [:]][node] = value
            case .drop(let node): folds[chunk]![node] = nil
            case .add(let left, let right, let parent):
                let sum = FakeArithmetic.add(folds[chunk]![left]!, folds[chunk]![right]!)
                folds[chunk]![left] = nil
                folds[chunk]![right] = nil
                folds[chunk]![parent] = sum
            case .complete: averages[machine.step, default: [:]][chunk] = folds[chunk]![machine.tree.root]!
            }
        }
    }

    private func materialise(_ item: CoordinatorItem, for worker: WorkerID) -> (Message, [UInt64]) {
        switch item {
        case .welcome(let step, let snapshotParts):
            return (
                .welcome(
                    Welcome(
                        run: Self.run, term: 1, step: step, snapshotParts: UInt32(snapshotParts),
                        heartbeatInterval: 250_000_000, silenceLimit: 1_000_000_000, configuration: [])), []
            )
        case .recall, .restart: preconditionFailure("no worker of this cluster lies, and its coordinator lives")
        case .snapshot(let part): return (.snapshot(part), [snapshots[worker]! &+ UInt64(part.part)])
        case .lease(let lease):
            // The carry is that before the open step; a lease of an earlier step would have been dropped.
            return (.lease(lease), lease.carried.map { carries[Int($0)] })
        case .average(let part): return (.average(part), [averages[part.step]![Int(part.chunk)]!])
        case .commit(let step):
            return (
                .commit(
                    Commit(
                        step: step, learningRateBits: scalars[step]!, clipCoefficientBits: 0,
                        biasCorrection1Bits: 0, biasCorrection2Bits: 0,
                        record: StepFacts(lossBits: 0, gradientNormBits: 0, nanoseconds: 1, workers: 1))), []
            )
        case .heartbeat: return (.heartbeat, [])
        case .finish: return (.finish, [])
        }
    }

    // MARK: A worker's loop

    private mutating func perform(_ actions: [WorkerAction], of id: WorkerID, payload: [UInt64]) {
        for action in actions {
            switch action {
            case .send(let item, let sequence, let acknowledged):
                let (message, payload) = materialise(item, of: id)
                let envelope = Envelope(
                    run: workers[id]!.machine.runInEnvelopes, worker: id, sequence: sequence,
                    acknowledged: acknowledged)
                transmit(.toCoordinator(message, envelope, payload), channel: id &+ 1, worker: id)
            case .adopt: workers[id]!.machine.adopted(chunks: chunks)
            case .storeSnapshot: workers[id]!.parts.append(payload[0])
            case .installSnapshot(let step):
                workers[id]!.replica = workers[id]!.parts[0]
                answerApplied(id, step: step)
            case .storeAverage(_, let chunk): workers[id]!.averages[chunk] = payload[0]
            case .apply(let commit):
                let worker = workers[id]!
                workers[id]!.replica = FakeArithmetic.update(
                    worker.replica, averages: (0..<chunks).map { worker.averages[$0]! },
                    scalars: commit.learningRateBits)
                workers[id]!.averages = [:]
                workers[id]!.carries = worker.nextCarries
                workers[id]!.nextCarries = [:]
                answerApplied(id, step: commit.step + 1)
            case .compute(let lease): compute(lease, on: id, carried: payload)
            case .keepReplica, .handOver, .restartStep:
                preconditionFailure("no worker of this cluster offers a replica, and none lies")
            case .discard: break
            case .rejoin, .refused:
                let slot = workers.removeValue(forKey: id)!.slot
                post(.spawn(slot: slot), after: 50_000_000)
                return
            case .finish: break
            }
        }
    }

    private mutating func answerApplied(_ id: WorkerID, step: UInt64) {
        let digest = workers[id]!.replica
        post(
            .computed(id, [.applied(Applied(step: step, digest: digest))], replica: digest, carries: [:]),
            after: 10_000)
    }

    private mutating func compute(_ lease: Lease, on id: WorkerID, carried: [UInt64]) {
        let worker = workers[id]!
        var carry: [Int: UInt64] = [:]
        precondition(!lease.isAudit, "this cluster is not audited")
        for shard in lease.shards.map(Int.init) {
            // A worker that was promised to hold a carry and does not shows up as a wrong digest.
            carry[shard] = lease.resetsCarry ? 0 : worker.carries[shard] ?? 0
        }
        for (shard, value) in zip(lease.carried, carried) { carry[Int(shard)] = value }
        let tree = machine.tree
        let nodes = tree.cover(lease.shards.map(Int.init))
        var at = max(now, worker.computeFreeAt)
        for chunk in (0..<chunks).reversed() {
            at += .random(in: 1_000_000...40_000_000, using: &random)
            let items = nodes.map { node in
                WorkerItem.gradient(
                    GradientPart(generation: lease.generation, step: lease.step, node: node, chunk: UInt32(chunk)))
            }
            for node in nodes {
                values[Key(worker: id, step: lease.step, node: node, chunk: chunk)] = FakeArithmetic.node(
                    node, of: tree
                ) {
                    FakeArithmetic.leaf(
                        step: lease.step, replica: worker.replica, shard: $0, carry: carry[$0]!, chunk: chunk)
                }
            }
            post(.computed(id, items, replica: worker.replica, carries: [:]), after: at - now)
        }
        var next: [Int: UInt64] = [:]
        var items: [WorkerItem] = []
        for shard in lease.shards.map(Int.init) {
            next[shard] = FakeArithmetic.carry(
                carry[shard]!, step: lease.step, replica: worker.replica, shard: shard)
            results[Key(worker: id, step: lease.step, node: TreeNode(level: 0, index: shard), chunk: -1)] = next[shard]
            items.append(
                .shardResult(
                    ShardResult(
                        generation: lease.generation, step: lease.step, shard: UInt32(shard),
                        lossBits: FakeArithmetic.loss(
                            step: lease.step, replica: worker.replica, shard: shard, carry: carry[shard]!))))
        }
        post(.computed(id, items, replica: worker.replica, carries: next), after: at - now + 1)
        workers[id]!.computeFreeAt = at + 1
    }

    private struct Key: Hashable {
        let worker: WorkerID
        let step: UInt64
        let node: TreeNode
        let chunk: Int
    }
    private var values: [Key: UInt64] = [:]
    private var results: [Key: UInt64] = [:]

    private func materialise(_ item: WorkerItem, of id: WorkerID) -> (Message, [UInt64]) {
        switch item {
        case .hello:
            return (
                .hello(
                    Hello(
                        run: 0, name: "w", host: "h", process: UInt32(truncatingIfNeeded: id), threads: 1,
                        software: "test")), []
            )
        case .gradient(let part):
            return (
                .gradient(part),
                [values[Key(worker: id, step: part.step, node: part.node, chunk: Int(part.chunk))]!]
            )
        case .shardResult(let result):
            let node = TreeNode(level: 0, index: Int(result.shard))
            return (.shardResult(result), [results[Key(worker: id, step: result.step, node: node, chunk: -1)]!])
        case .applied(let applied): return (.applied(applied), [])
        case .heartbeat: return (.heartbeat, [])
        case .goodbye: return (.goodbye, [])
        case .audited(let report): return (.audited(report), [])
        case .snapshot, .carry, .history: preconditionFailure("no worker of this cluster offers a replica")
        }
    }
}
