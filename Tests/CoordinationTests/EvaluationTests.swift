import Testing

@testable import Coordination

/// Two workers that have done the first of two steps, of one shard and one chunk.
private struct Bench {
    var machine: CoordinatorMachine
    var sequence: [WorkerID: UInt64] = [:]
    var now: UInt64 = 0
    var actions: [CoordinatorAction] = []

    init(steps: UInt64 = 2) {
        var configuration = CoordinatorMachine.Configuration(
            run: 5, shards: 1, chunks: 1, snapshotParts: 1, totalSteps: steps, carryPeriod: 2)
        configuration.segments = 4
        configuration.segmentsPerLease = 2
        machine = CoordinatorMachine(configuration)
        machine.digested(step: 0, digest: 1)
        machine.evaluate(after: 1, now: 0)
        join(1)
        join(2)
        say(1, .gradient(GradientPart(generation: 1, step: 0, node: TreeNode(level: 0, index: 0), chunk: 0)))
        say(1, .nodeResult(NodeResult(generation: 1, step: 0, node: TreeNode(level: 0, index: 0), lossBits: [0])))
    }

    mutating func say(_ worker: WorkerID, _ message: Message) {
        sequence[worker, default: 0] += 1
        actions = machine.received(
            message, Envelope(run: 5, worker: worker, sequence: sequence[worker]!, acknowledged: 0), now: now)
    }

    mutating func join(_ worker: WorkerID) {
        say(
            worker,
            .hello(Hello(run: 0, name: "w\(worker)", host: "h", process: UInt32(worker), threads: 1, software: "t")))
        say(worker, .applied(Applied(step: machine.step, digest: 1)))
    }

    mutating func answer(_ worker: WorkerID, _ segments: [UInt32], step: UInt64 = 1) {
        say(worker, .evaluated(EvaluationResult(step: step, segments: segments, lossBits: segments.map(UInt64.init))))
    }

    var evaluations: [WorkerID: [UInt32]] {
        var found: [WorkerID: [UInt32]] = [:]
        for case .send(let worker, .evaluate(let lease), _, _) in actions {
            found[worker, default: []] += lease.segments
        }
        return found
    }
    var leases: Int { actions.count { if case .send(_, .lease, _, _) = $0 { true } else { false } } }
    var accepted: [Set<Int>] { actions.compactMap { if case .acceptSegments(let found) = $0 { found } else { nil } } }
    var evictions: Int { actions.count { if case .evict = $0 { true } else { false } } }
}

@Suite("Evaluations between two steps")
struct EvaluationTests {
    @Test("All workers share the segments, and the next step begins when all have come")
    func shared() {
        var bench = Bench()
        #expect(bench.actions.contains(.commit(step: 0)) && bench.leases == 0)
        #expect(bench.evaluations == [1: [0, 1], 2: [2, 3]])
        #expect(bench.machine.waitingReason(now: 0)!.contains("4 of 4 segments of w1, w2"))
        bench.answer(1, [0, 1])
        #expect(bench.accepted == [[0, 1]] && bench.leases == 0 && bench.machine.isEvaluating)
        bench.answer(2, [2, 3])
        #expect(bench.actions.contains(.evaluated(step: 1)) && bench.leases > 0 && !bench.machine.isEvaluating)
        // What waited for credits until it was over is of no use.
        bench.machine.members[1]!.session.enqueue(.evaluate(EvaluationLease(step: 1, segments: [0])))
        bench.actions = bench.machine.tick(now: 1)
        #expect(bench.evaluations.isEmpty)
    }

    @Test("After the last step the run ends with the evaluation, not before")
    func last() {
        var bench = Bench(steps: 1)
        #expect(!bench.machine.isFinished)
        bench.answer(1, [0, 1])
        #expect(!bench.machine.isFinished)
        bench.answer(2, [2, 3])
        #expect(bench.machine.isFinished && bench.actions.suffix(2) == [.evaluated(step: 1), .finished])
    }

    @Test("A coordinator that died in the evaluation after the last step makes it, and ends")
    func lastAgain() {
        var configuration = CoordinatorMachine.Configuration(
            run: 5, shards: 1, chunks: 1, snapshotParts: 1, totalSteps: 2, carryPeriod: 2)
        configuration.segments = 4
        var machine = CoordinatorMachine(configuration, step: 2)
        #expect(machine.isFinished)
        machine.evaluate(after: 2, now: 0)
        #expect(!machine.isFinished && machine.isEvaluating)
    }

    @Test("The segments of a lost worker go to the others at once, and wait for one where there is none")
    func lost() {
        var bench = Bench()
        bench.actions = bench.machine.lose(1, "gone", now: 0)
        #expect(bench.evaluations == [2: [0, 1]])
        #expect(bench.machine.evaluation?.grants[2]?.map(\.load) == [2, 4])
        bench.actions = bench.machine.lose(2, "gone", now: 0)
        #expect(bench.evaluations.isEmpty && bench.machine.waitingReason(now: 0)!.contains("none is connected"))
        bench.join(3)
        #expect(bench.evaluations == [3: [0, 1, 2, 3]])
        bench.now = 400
        bench.answer(3, [0, 1])
        bench.now = 800
        bench.answer(3, [2, 3])
        #expect(bench.actions.contains(.evaluated(step: 1)) && bench.leases == 1)
        // One lease after the other, each segment took a quarter of the time.
        #expect(bench.machine.segmentCost == 200)
    }

    @Test("Late segments are given to a worker that has nothing to do; the first answer counts")
    func late() {
        var bench = Bench()
        bench.now = 1_000_000_000
        bench.answer(1, [0, 1])
        bench.actions = bench.machine.tick(now: 1_400_000_000)
        #expect(bench.evaluations.isEmpty)
        bench.answer(2, [7])
        #expect(bench.evictions == 1, "it was never asked for that")
        bench = Bench()
        bench.now = 400_000_000
        bench.answer(1, [0, 1])
        for now in stride(from: 400_000_000, through: 700_000_000, by: 100_000_000) {
            bench.actions = bench.machine.tick(now: UInt64(now))
            #expect(bench.evaluations.isEmpty)
        }
        bench.actions = bench.machine.tick(now: 800_000_000)
        #expect(bench.evaluations == [1: [2, 3]])
        // Whoever is idle from now on waits for that answer, also where the late one is lost.
        bench.now = 810_000_000
        var other = bench
        other.join(3)
        other.actions = other.machine.tick(now: 820_000_000)
        #expect(other.evaluations.isEmpty)
        other.actions = other.machine.lose(2, "gone", now: 820_000_000)
        #expect(other.evaluations.isEmpty)
        bench.answer(1, [2, 3])
        #expect(bench.actions.contains(.evaluated(step: 1)))
        // It is not at fault that it was late.
        bench.answer(2, [2, 3])
        #expect(bench.accepted.isEmpty && bench.evictions == 0)
    }

    @Test("Losses of another step, of segments not asked for or sent twice are never taken")
    func foreign() {
        var bench = Bench()
        bench.answer(1, [0, 1], step: 0)
        #expect(bench.accepted.isEmpty && bench.evictions == 0)
        bench.answer(1, [0])
        #expect(bench.accepted.isEmpty && bench.evictions == 1)
        bench = Bench()
        bench.answer(1, [0, 1])
        bench.answer(1, [0, 1])
        #expect(bench.accepted.isEmpty && bench.evictions == 1)
    }
}
