import Coordination

/// A message on its way; the payload stands for the floats that it carries.
struct SimulatedMessage: Hashable {
    var message: Message
    var envelope: Envelope
    var payload: [UInt64]
}

/// A coordinator's process: the machine, and the data that ``Training/CoordinatorLoop`` keeps beside it.
struct SimulatedCoordinator: Hashable {
    /// What happened that no correct coordinator does.
    struct Violation: Error, CustomStringConvertible { let description: String }

    /// The values of one node for one chunk.
    private enum Values: Hashable {
        case own(UInt64)
        /// Read when they are added up, and not before.
        case lent(SharedPlace)
    }

    private(set) var machine: CoordinatorMachine
    private(set) var run: SimulatedRun
    private(set) var failure: String?
    /// Names of workers that are not let in again.
    private(set) var banned: Set<String> = []
    /// The step from which a restarted coordinator went on.
    private(set) var recoveredAt: UInt64?

    private var replica: FakeReplica
    private var carries: [UInt64]
    /// As in `GradientFold`.
    private var folds: [Int: [TreeNode: Values]] = [:]
    /// Of the open step's average.
    private var completeChunks: Set<Int> = []
    private var averages: [UInt64: SharedPlace] = [:]
    private var averagePool = SimulatedPool()
    private var lentAverages = LentAverages<SharedPlace>()
    /// What was opened of each worker's that shares memory.
    private var sharedMemory: [WorkerID: Set<SharedPlace>] = [:]
    private var scalars: [UInt64: UInt64] = [:]
    private var nextCarries: [Int: UInt64] = [:]
    private var losses: [Int: UInt64] = [:]
    private var segmentLosses: [Int: UInt64] = [:]
    /// Of the evaluations so far.
    private var validations = ValidationHistory()
    /// The first evaluation that an earlier start left to be made.
    private let pendingEvaluation: UInt64?
    /// The step whose line got a loss that an earlier start had not written.
    private(set) var lateEvaluation: UInt64?
    /// A checkpoint waits for the evaluation after its step.
    private var owesCheckpoint = false
    /// The last step of the run, by its patience. The loop hears of it some steps later.
    private var exhaustedAt: UInt64?
    /// The run has ended by its patience.
    private(set) var isExhausted = false
    private var snapshots: [WorkerID: FakeReplica] = [:]
    private var recalledParts: [Int: [UInt64]] = [:]
    private var recalledCarries: [Int: UInt64] = [:]
    private var history: [HistoryRecord] = []
    /// To be sent, in order.
    private var outgoing: [SimulatedMessage] = []

    /// Starts the run's next coordinator from what is on disk.
    init(run disk: SimulatedRun, now: UInt64) {
        run = disk
        run.term += 1
        let checkpoint = run.checkpoint
        replica = checkpoint.replica
        carries = checkpoint.carries
        let beyond = run.lines.enumerated().dropFirst(Int(checkpoint.step))
        let known = Dictionary(uniqueKeysWithValues: beyond.map { (UInt64($0.offset + 1), $0.element.digest) })
        pendingEvaluation = run.pendingEvaluation
        let ceiling = pendingEvaluation ?? .max
        machine = CoordinatorMachine(
            run.configuration, step: checkpoint.step,
            recovery: known.isEmpty || ceiling <= checkpoint.step
                ? nil : Recovery(knownDigests: known, checkpoint: checkpoint.step, ceiling: ceiling))
        isExhausted =
            pendingEvaluation != checkpoint.step
            && run.isExhausted(run.validationHistory(upTo: checkpoint.step))
        if !machine.isRecovering { begin(now: now) }
    }

    /// Of each start another, and of no worker's.
    var process: UInt32 { 1_000_000 + UInt32(run.term) }

    /// The run as it is on disk once all is written.
    var written: SimulatedRun {
        var run = run
        if let exhaustedAt { run.cut(after: exhaustedAt) }
        return run
    }

    /// Ends as by a signal: with a checkpoint, though the open evaluation is left out.
    mutating func interrupt() {
        if !machine.isRecovering { writeCheckpoint() }
    }

    private mutating func writeCheckpoint() {
        guard exhaustedAt == nil else { return }
        let step = UInt64(run.lines.count)
        let validation = run.validations[step]
        var best = run.checkpoint.best
        if let validation, best.map({ validation < $0.loss }) ?? true {
            best = SimulatedRun.Best(step: step, loss: validation)
        }
        run.earlierCheckpoints.append(run.checkpoint)
        run.checkpoint = SimulatedRun.Checkpoint(
            step: step, replica: replica, carries: carries, validation: validation, best: best)
    }

    private mutating func begin(now: UInt64) {
        run.cut(after: machine.step)
        if pendingEvaluation == machine.step {
            if run.validations.removeValue(forKey: machine.step) == nil, run.lines.count == machine.step {
                lateEvaluation = machine.step
            }
        }
        for record in history where record.step == UInt64(run.lines.count) + 1 {
            run.lines.append(SimulatedRun.Line(digest: record.digest, loss: record.facts.lossBits))
        }
        history = []
        recoveredAt = machine.step
        machine.digested(step: machine.step, digest: replica.parameters)
        validations = run.validationHistory(upTo: machine.step)
        if pendingEvaluation == machine.step { machine.evaluate(after: machine.step, now: now) }
        if run.evaluates(after: machine.step + 1) { machine.evaluate(after: machine.step + 1, now: now) }
    }

    // MARK: Events

    mutating func received(_ arrived: SimulatedMessage, now: UInt64, _ memory: inout SimulatedMemory)
        throws(Violation) -> [SimulatedMessage]
    {
        var arrived = arrived
        let worker = arrived.envelope.worker
        if case .gradient(let part) = arrived.message, let place = part.memory, machine.hello(of: worker) != nil {
            guard let opened = sharedMemory[worker] else {
                throw Violation(description: "a gradient was lent by a worker that shares no memory")
            }
            guard opened.contains(place) || memory.open(place) else {
                let refusal = Refusal(code: .sessionBroken, reason: "its memory cannot be opened")
                try perform([.refuse(worker, refusal)], nil, now: now, &memory)
                return try lost(worker, refusal.reason, now: now, &memory)
            }
            sharedMemory[worker]!.insert(place)
            arrived.payload = [memory[place, Int(part.chunk)]]
        }
        let digest = machine.wantsDigest(of: arrived.message) ? arrived.payload.first ?? 0 : 0
        let actions = machine.received(
            arrived.message, arrived.envelope, digest: digest,
            isFinite: !arrived.payload.contains(FakeArithmetic.notFinite), now: now)
        try perform(actions, arrived, now: now, &memory)
        return takeOutgoing()
    }

    mutating func tick(now: UInt64, _ memory: inout SimulatedMemory) throws(Violation) -> [SimulatedMessage] {
        try perform(machine.tick(now: now), nil, now: now, &memory)
        if exhaustedAt != nil { isExhausted = true }
        return takeOutgoing()
    }

    mutating func lost(_ worker: WorkerID, _ reason: String, now: UInt64, _ memory: inout SimulatedMemory)
        throws(Violation) -> [SimulatedMessage]
    {
        try perform(machine.lose(worker, reason, now: now), nil, now: now, &memory)
        return takeOutgoing()
    }

    mutating func processEnded(name: String, now: UInt64, _ memory: inout SimulatedMemory) throws(Violation)
        -> [SimulatedMessage]
    {
        for worker in machine.workers(named: name) {
            try perform(machine.lose(worker, "crashed", now: now), nil, now: now, &memory)
        }
        return takeOutgoing()
    }

    private mutating func takeOutgoing() -> [SimulatedMessage] {
        defer { outgoing = [] }
        return outgoing
    }

    // MARK: Actions

    private mutating func perform(
        _ actions: [CoordinatorAction], _ arrived: SimulatedMessage?, now: UInt64, _ memory: inout SimulatedMemory
    ) throws(Violation) {
        var committed: UInt64?
        var hasCommitted = false
        var afterwards: [CoordinatorAction] = []
        for action in actions where failure == nil {
            switch action {
            case .send(let worker, let item, let sequence, let acknowledged):
                let (message, payload) = materialise(item, for: worker, &memory)
                let envelope = Envelope(
                    run: run.number, worker: worker, sequence: sequence, acknowledged: acknowledged)
                outgoing.append(SimulatedMessage(message: message, envelope: envelope, payload: payload))
            case .refuse(let worker, let refusal):
                let envelope = Envelope(run: run.number, worker: worker, sequence: 0, acknowledged: 0)
                outgoing.append(SimulatedMessage(message: .refuse(refusal), envelope: envelope, payload: []))
            case .takeSnapshot(let worker, _):
                if let done = committed {
                    update(done, now: now, memory)
                    committed = nil
                }
                snapshots[worker] = replica
            case .fold(let chunk, let changes):
                guard case .gradient(let part) = arrived?.message else {
                    throw Violation(description: "a node was folded without its gradient")
                }
                try fold(chunk, changes, part.memory.map { .lent($0) } ?? .own(arrived!.payload[0]), &memory)
            case .acceptShards(let shards):
                guard case .nodeResult(let result) = arrived?.message, let all = machine.tree.shards(result.node) else {
                    throw Violation(description: "shards were accepted without their result")
                }
                for shard in shards {
                    guard losses[shard] == nil else {
                        throw Violation(description: "shard \(shard) was accepted twice in step \(machine.step)")
                    }
                    losses[shard] = result.lossBits[shard - all.lowerBound]
                    nextCarries[shard] = arrived!.payload[shard - all.lowerBound]
                }
            case .acceptSegments(let segments):
                guard case .evaluated(let result) = arrived?.message else {
                    throw Violation(description: "segments were accepted without their losses")
                }
                for (segment, loss) in zip(result.segments, result.lossBits) where segments.contains(Int(segment)) {
                    guard segmentLosses.updateValue(loss, forKey: Int(segment)) == nil else {
                        throw Violation(description: "segment \(segment) was accepted twice in step \(machine.step)")
                    }
                }
            case .evaluated(let step): try evaluated(step)
            case .commit(let step):
                try decide(step)
                committed = step
                hasCommitted = true
            case .abandonStep:
                folds = [:]
                completeChunks = []
                averages[machine.step] = nil
                losses = [:]
                nextCarries = [:]
            case .settle, .verifyRecalled: afterwards.append(action)
            case .ban(_, let name, _): banned.insert(name)
            case .storeRecalledPart(let part): recalledParts[part] = arrived!.payload
            case .storeRecalledCarry(let shard): recalledCarries[shard] = arrived!.payload[0]
            case .storeHistory(let records): history = records
            case .recovered: begin(now: now)
            case .keptCheckpoint:
                forgetRecalled()
                begin(now: now)
            case .fail(let reason, _): failure = reason
            case .evict(let worker, _):
                snapshots[worker] = nil
                sharedMemory[worker] = nil
            case .complain(let text): throw Violation(description: text)
            case .joined, .discard, .note, .finished: break
            }
        }
        if let committed, failure == nil { update(committed, now: now, memory) }
        if hasCommitted { forgetOldSteps() }
        for action in afterwards where failure == nil {
            switch action {
            case .settle(let dispute): try settle(dispute, now: now, &memory)
            case .verifyRecalled: try verifyRecalled(now: now, &memory)
            default: break
            }
        }
    }

    private mutating func forgetOldSteps() {
        let oldest = machine.oldestNeededStep
        averages = averages.filter { $0.key >= oldest }
        scalars = scalars.filter { $0.key >= oldest }
        for average in lentAverages.settle(stepsHeld: { machine.stepsHeld(by: $0) }) { averagePool.forget(average) }
    }

    private mutating func fold(
        _ chunk: Int, _ changes: [ChunkFold.Change], _ values: Values, _ memory: inout SimulatedMemory
    ) throws(Violation) {
        let average = averages[machine.step] ?? takeAverage(&memory)
        averages[machine.step] = average
        func read(_ values: Values?) -> UInt64 {
            switch values! {
            case .own(let value): value
            case .lent(let place): memory[place, chunk]
            }
        }
        for change in changes {
            switch change {
            case .store(let node):
                guard folds[chunk, default: [:]].updateValue(values, forKey: node) == nil else {
                    throw Violation(description: "node \(node) was left over from before the step began anew")
                }
            case .drop(let node): folds[chunk]![node] = nil
            case .add(let left, let right, let parent):
                let values = (folds[chunk]!.removeValue(forKey: left), folds[chunk]!.removeValue(forKey: right))
                folds[chunk]![parent] = .own(FakeArithmetic.add(read(values.0), read(values.1)))
            case .complete:
                memory[average, chunk] = read(folds[chunk]!.removeValue(forKey: machine.tree.root))
                completeChunks.insert(chunk)
            }
        }
    }

    private mutating func takeAverage(_ memory: inout SimulatedMemory) -> SharedPlace {
        averagePool.take(held: Set(averages.values).union(lentAverages.averages), by: process, &memory)
    }

    private mutating func evaluated(_ step: UInt64) throws(Violation) {
        guard run.lines.count == Int(step), run.evaluates(after: step), run.validations[step] == nil else {
            throw Violation(description: "step \(step) was evaluated after \(run.lines.count) steps")
        }
        for segment in 0..<run.segments
        where segmentLosses[segment] != FakeArithmetic.evaluation(replica: replica, segment: segment) {
            throw Violation(
                description: "segment \(segment) was evaluated on another replica than that of step \(step)")
        }
        let loss = Double(mix((0..<run.segments).map { segmentLosses[$0]! }) >> 11)
        segmentLosses = [:]
        run.validations[step] = loss
        let isBest = validations.add(loss)
        let isLast = run.isExhausted(validations)
        if isBest || isLast || owesCheckpoint { writeCheckpoint() }
        owesCheckpoint = false
        if isLast, exhaustedAt == nil { exhaustedAt = step }
    }

    private mutating func decide(_ step: UInt64) throws(Violation) {
        for earlier in 0...step where run.evaluates(after: earlier) && run.validations[earlier] == nil {
            throw Violation(description: "step \(step + 1) was committed, and the evaluation of \(earlier) is missing")
        }
        guard run.lines.count == Int(step) else {
            throw Violation(description: "step \(step) was committed after \(run.lines.count) steps")
        }
        guard losses.count == run.shards, completeChunks.count == run.chunks else {
            throw Violation(description: "step \(step) was committed with \(losses.count) of \(run.shards) shards")
        }
        scalars[step] = mix((0..<run.shards).map { losses[$0]! })
        carries = (0..<run.shards).map { nextCarries[$0]! }
        nextCarries = [:]
        losses = [:]
        folds = [:]
        completeChunks = []
    }

    private mutating func update(_ step: UInt64, now: UInt64, _ memory: SimulatedMemory) {
        let own = averages[step]!
        replica.update(averages: (0..<run.chunks).map { memory[own, $0] }, scalars: scalars[step]!)
        run.lines.append(SimulatedRun.Line(digest: replica.parameters, loss: scalars[step]!))
        machine.digested(step: step + 1, digest: replica.parameters)
        if run.evaluates(after: step + 2) { machine.evaluate(after: step + 2, now: now) }
        if run.checkpointEvery > 0, (step + 1) % run.checkpointEvery == 0 {
            if machine.isEvaluating { owesCheckpoint = true } else { writeCheckpoint() }
        }
    }

    private mutating func settle(_ dispute: Dispute, now: UInt64, _ memory: inout SimulatedMemory)
        throws(Violation)
    {
        var answer: ShardAnswer?
        for shard in dispute.shards {
            let carry = dispute.step % run.period == 0 ? 0 : carries[shard]
            answer = .fake(step: dispute.step, replica: replica, shard: shard, carry: carry, chunks: run.chunks)
        }
        try perform(machine.settled(dispute, answer: answer, isFinite: true, now: now), nil, now: now, &memory)
    }

    private mutating func forgetRecalled() {
        recalledParts = [:]
        recalledCarries = [:]
        history = []
    }

    private mutating func verifyRecalled(now: UInt64, _ memory: inout SimulatedMemory) throws(Violation) {
        let whole = FakeReplica(parts: (0..<run.snapshotParts).map { recalledParts[$0] ?? [0, 0] })
        let (digest, stateDigest) = (whole?.parameters ?? 0, whole?.state ?? 0)
        let (before, beforeCarries) = (replica, carries)
        if let whole { replica = whole }
        carries = (0..<run.shards).map { recalledCarries[$0] ?? 0 }
        try perform(machine.recalled(digest: digest, stateDigest: stateDigest, now: now), nil, now: now, &memory)
        if machine.isRecovering { (replica, carries) = (before, beforeCarries) }
        forgetRecalled()
    }

    private mutating func materialise(_ item: CoordinatorItem, for worker: WorkerID, _ memory: inout SimulatedMemory)
        -> (Message, [UInt64])
    {
        switch item {
        case .welcome(let step, let snapshotParts):
            let own = shareMemory(with: worker, &memory)
            return (
                .welcome(
                    Welcome(
                        run: run.number, term: run.term, step: step, snapshotParts: UInt32(snapshotParts),
                        heartbeatInterval: machine.configuration.heartbeatInterval,
                        silenceLimit: machine.configuration.silenceLimit, configuration: [], memory: own)), []
            )
        case .snapshot(let part): return (.snapshot(part), snapshots[worker]!.part(Int(part.part)))
        // The carry is that before the open step; a lease of an earlier step would have been dropped.
        case .lease(let lease): return (.lease(lease), lease.carried.map { carries[Int($0)] })
        case .average(var part):
            let average = averages[part.step]!
            guard sharedMemory[worker] != nil, lentAverages.lend(average, at: average, step: part.step, to: worker)
            else {
                return (.average(part), [memory[average, Int(part.chunk)]])
            }
            part.memory = average
            return (.average(part), [])
        case .commit(let step):
            let facts = StepFacts(lossBits: scalars[step]!, gradientNormBits: 0, nanoseconds: 1, workers: 1)
            return (
                .commit(
                    Commit(
                        step: step, learningRateBits: scalars[step]!, clipCoefficientBits: 0, biasCorrection1Bits: 0,
                        biasCorrection2Bits: 0, record: facts)), []
            )
        case .evaluate(let lease): return (.evaluate(lease), [])
        case .heartbeat: return (.heartbeat, [])
        case .finish: return (.finish, [])
        case .recall(let recall): return (.recall(recall), [])
        case .restart(let restart): return (.restart(restart), [])
        }
    }

    /// What the worker is to open in its turn, where what it offers can be opened.
    private mutating func shareMemory(with worker: WorkerID, _ memory: inout SimulatedMemory) -> SharedPlace? {
        guard let offered = machine.hello(of: worker)?.memory, memory.open(offered) else { return nil }
        sharedMemory[worker] = []
        return SimulatedMemory.probe(of: process)
    }
}

extension ShardAnswer {
    static func fake(step: UInt64, replica: FakeReplica, shard: Int, carry: UInt64, chunks: Int) -> ShardAnswer {
        ShardAnswer(
            lossBits: FakeArithmetic.loss(step: step, replica: replica, shard: shard, carry: carry),
            carryDigest: FakeArithmetic.carry(carry, step: step, replica: replica, shard: shard),
            chunkDigests: (0..<chunks).map {
                FakeArithmetic.leaf(step: step, replica: replica, shard: shard, carry: carry, chunk: $0)
            })
    }
}
