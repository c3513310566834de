import Coordination
import Testing

/// A machine with hand-fed workers.
private struct Bench {
    var machine: CoordinatorMachine
    var sequence: [WorkerID: UInt64] = [:]
    var now: UInt64 = 0

    init(shards: Int = 2, minimum: Int = 1, chunks: Int = 1) {
        var configuration = CoordinatorMachine.Configuration(
            run: 5, shards: shards, chunks: chunks, snapshotParts: 1, totalSteps: 3, carryPeriod: 3)
        configuration.minimumWorkers = minimum
        machine = CoordinatorMachine(configuration)
        machine.digested(step: 0, digest: 1)
    }

    mutating func say(_ worker: WorkerID, _ message: Message) -> [CoordinatorAction] {
        sequence[worker, default: 0] += 1
        return machine.received(
            message, Envelope(run: 5, worker: worker, sequence: sequence[worker]!, acknowledged: 0), now: now)
    }

    mutating func join(_ worker: WorkerID, digest: UInt64 = 1) -> [CoordinatorAction] {
        say(worker, .hello(Hello(run: 0, name: "w\(worker)", host: "h", process: 1, threads: 1, software: "t")))
            + say(worker, .applied(Applied(step: machine.step, digest: digest)))
    }

    mutating func gradient(_ worker: WorkerID, step: UInt64, node: TreeNode, generation: UInt32 = 1)
        -> [CoordinatorAction]
    {
        say(worker, .gradient(GradientPart(generation: generation, step: step, node: node, chunk: 0)))
    }

    mutating func result(_ worker: WorkerID, step: UInt64, shard: UInt32, generation: UInt32 = 1)
        -> [CoordinatorAction]
    {
        say(worker, .shardResult(ShardResult(generation: generation, step: step, shard: shard, lossBits: 0)))
    }
}

extension [CoordinatorAction] {
    fileprivate var leases: [Lease] {
        compactMap { if case .send(_, .lease(let lease), _, _) = $0 { lease } else { nil } }
    }
    fileprivate var evictions: [String] { compactMap { if case .evict(_, let reason) = $0 { reason } else { nil } } }
    fileprivate var discards: [String] { compactMap { if case .discard(_, let reason) = $0 { reason } else { nil } } }
    fileprivate var commits: [UInt64] { compactMap { if case .commit(let step) = $0 { step } else { nil } } }
}

@Suite("The coordinator's machine")
struct CoordinatorMachineTests {
    private let root = TreeNode(level: 1, index: 0)

    @Test("The first step waits for the minimum of workers, then leases all shards")
    func minimum() {
        var bench = Bench(minimum: 2)
        #expect(bench.join(1).leases.isEmpty)
        #expect(bench.machine.waitingReason() == "step 0 waits for 1 more workers")
        #expect(bench.join(2).leases.flatMap(\.shards) == [0, 1])
    }

    @Test("A step commits when all chunks and all shards are there, and the next one opens")
    func commit() {
        var bench = Bench()
        _ = bench.join(1)
        #expect(bench.gradient(1, step: 0, node: root).commits.isEmpty)
        #expect(bench.result(1, step: 0, shard: 0).commits.isEmpty)
        let last = bench.result(1, step: 0, shard: 1)
        #expect(last.commits == [0])
        #expect(last.leases.map(\.step) == [1])
        // The worker holds the carry of what it computed.
        #expect(last.leases[0].carried.isEmpty)
    }

    @Test("A late gradient is discarded")
    func late() {
        var bench = Bench()
        _ = bench.join(1)
        _ = bench.gradient(1, step: 0, node: root)
        _ = bench.result(1, step: 0, shard: 0)
        _ = bench.result(1, step: 0, shard: 1)
        let actions = bench.gradient(1, step: 0, node: root)
        #expect(actions.discards == ["a gradient for step 0 came in step 1"])
        #expect(actions.evictions.isEmpty)
    }

    @Test("A gradient that was not asked for ends the session")
    func unasked() {
        var bench = Bench(minimum: 2)
        _ = bench.join(1)
        #expect(bench.gradient(1, step: 0, node: root).evictions.count == 1)
    }

    @Test("A result without its gradient ends the session, so that no step waits for ever")
    func resultFirst() {
        var bench = Bench()
        _ = bench.join(1)
        #expect(bench.result(1, step: 0, shard: 0).evictions == ["sent a result before its gradient"])
    }

    @Test("The shards of a lost worker go to the others at once, with their carry")
    func lost() {
        var bench = Bench()
        _ = bench.join(1)
        _ = bench.gradient(1, step: 0, node: root)
        _ = bench.result(1, step: 0, shard: 0)
        _ = bench.result(1, step: 0, shard: 1)
        _ = bench.join(2)
        let leases = bench.machine.lose(1, "killed", now: 0).leases
        #expect(leases.map(\.shards) == [[0, 1]])
        #expect(leases.map(\.carried) == [[0, 1]])
        #expect(leases.map(\.step) == [1])
    }

    @Test("What a lost worker had finished is not computed again")
    func finishedStays() {
        var bench = Bench(minimum: 2)
        _ = bench.join(1)
        let generation = bench.join(2).leases[0].generation
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 0), generation: generation)
        _ = bench.result(1, step: 0, shard: 0, generation: generation)
        #expect(bench.machine.lose(1, "killed", now: 0).leases.isEmpty)
    }

    @Test("Silence beyond the limit ends a session; a word in time does not")
    func silence() {
        var bench = Bench()
        _ = bench.join(1)
        _ = bench.join(2)
        bench.now = 2_000_000_000
        _ = bench.say(2, .heartbeat)
        let actions = bench.machine.tick(now: 3_500_000_000)
        #expect(actions.evictions == ["silent for 3500 ms"])
        #expect(bench.machine.readyWorkers == [2])
    }

    @Test("A replica that differs is named and refused")
    func differs() {
        var bench = Bench()
        let actions = bench.join(1, digest: 2)
        #expect(actions.evictions.first?.hasPrefix("its replica differs after step 0") == true)
        #expect(bench.machine.readyWorkers.isEmpty)
    }

    @Test("A lost message ends the session, a doubled one is discarded")
    func sequence() {
        var bench = Bench()
        _ = bench.join(1)
        let again = bench.machine.received(
            .heartbeat, Envelope(run: 5, worker: 1, sequence: 2, acknowledged: 0), now: 0)
        #expect(again.discards == ["a message came twice"])
        let gap = bench.machine.received(
            .heartbeat, Envelope(run: 5, worker: 1, sequence: 9, acknowledged: 0), now: 0)
        #expect(gap.evictions == ["messages were lost on the way"])
    }

    @Test("A worker of another run is refused")
    func otherRun() {
        var bench = Bench()
        let hello = Hello(run: 6, name: "w", host: "h", process: 1, threads: 1, software: "t")
        let actions = bench.say(1, .hello(hello))
        #expect(
            actions == [.refuse(1, Refusal(code: .otherRun, reason: "this coordinator serves another run"))])
    }

    @Test("A worker that never acknowledges gets no more than its credits")
    func credits() {
        var bench = Bench(shards: 1, chunks: 200)
        let sends = bench.join(1).filter { if case .send = $0 { true } else { false } }
        var more = 0
        for chunk in 0..<200 {
            let part = GradientPart(generation: 1, step: 0, node: TreeNode(level: 0, index: 0), chunk: UInt32(chunk))
            more +=
                bench.say(1, .gradient(part)).filter {
                    if case .send(_, .average, _, _) = $0 { true } else { false }
                }.count
        }
        #expect(sends.count + more <= Int(bench.machine.configuration.window))
        #expect(bench.machine.oldestNeededStep == 0)
    }
}
