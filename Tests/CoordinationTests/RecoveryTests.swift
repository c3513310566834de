import Testing

@testable import Coordination

@Suite("What a restarted coordinator takes over from the workers")
struct RecoveryTests {
    private func offering(
        _ step: UInt64, shards: [UInt32], process: UInt32, digest: UInt64 = 8, carry: UInt64? = nil,
        historyFrom: UInt64 = 1
    ) -> Hello {
        Hello(
            run: 5, name: "w\(process)", host: "h", process: process, threads: 1, software: "t", term: 1,
            offer: Offer(
                step: step, digest: digest, stateDigest: 6, carries: [.init(step: carry ?? step, shards: shards)],
                historyFrom: historyFrom))
    }

    @Test("A restarted coordinator takes the newest whole state from the workers, and welcomes them as they are")
    func recovery() {
        var bench = MachineBench(recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        // One shard's carry is missing: not whole yet.
        let first = bench.say(1, .hello(offering(1, shards: [0], process: 1)))
        #expect(!first.contains { if case .send(_, .recall, _, _) = $0 { true } else { false } })
        let second = bench.say(2, .hello(offering(1, shards: [1], process: 2)))
        let recalls = second.compactMap { if case .send(_, .recall(let recall), _, _) = $0 { recall } else { nil } }
        #expect(recalls.map(\.shards) == [[0], [1]])
        #expect(recalls.map(\.wantsReplica) == [true, false])
        _ = bench.say(1, .carry(CarryPart(step: 1, shard: 0)))
        _ = bench.say(1, .snapshot(SnapshotPart(step: 1, part: 0)))
        _ = bench.say(1, .history([]))
        #expect(bench.say(2, .carry(CarryPart(step: 1, shard: 1))).contains(.verifyRecalled))
        let welcomes = bench.machine.recalled(digest: 8, stateDigest: 6, now: 0).filter {
            if case .send(_, .welcome(1, snapshotParts: 0), _, _) = $0 { true } else { false }
        }
        #expect(welcomes.count == 2)
        #expect(bench.machine.step == 1)
    }

    @Test("A replica that is not the one on record is not taken over: the checkpoint is kept when the wait is over")
    func recoveryOfAnother() {
        var bench = MachineBench(recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        _ = bench.machine.tick(now: 0)
        _ = bench.say(1, .hello(offering(1, shards: [0, 1], process: 1, digest: 7)))
        for moment: UInt64 in 1...39 {
            #expect(!bench.machine.tick(now: moment * 100_000_000).contains(.keptCheckpoint))
            bench.now = moment * 100_000_000
            _ = bench.say(1, .heartbeat)
        }
        #expect(bench.machine.tick(now: 4_000_000_000).contains(.keptCheckpoint))
        #expect(bench.machine.step == 0)
    }

    private func recalls(_ actions: [CoordinatorAction]) -> [WorkerID: Recall] {
        var found: [WorkerID: Recall] = [:]
        for case .send(let worker, .recall(let recall), _, _) in actions { found[worker] = recall }
        return found
    }

    private func isWhole(_ actions: [CoordinatorAction]) -> Bool { actions.contains(.verifyRecalled) }

    /// What the donor sends when it is asked.
    private let stream: [Message] =
        [.carry(CarryPart(step: 1, shard: 0))] + (0..<3).map { .snapshot(SnapshotPart(step: 1, part: $0)) }
        + [.history([])]

    @Test(
        "A donor that is asked again while it still sends is heard out, wherever its stream stood", arguments: 0...5)
    func askedAgain(sentBefore: Int) {
        var bench = MachineBench(snapshotParts: 3, recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        _ = bench.say(1, .hello(offering(1, shards: [0], process: 1)))
        #expect(recalls(bench.say(2, .hello(offering(1, shards: [1], process: 2)))).count == 2)
        var actions: [CoordinatorAction] = []
        for message in stream.prefix(sentBefore) { actions += bench.say(1, message) }
        _ = bench.machine.lose(2, "lost", now: 0)
        // While nobody is asked.
        if sentBefore < stream.count { actions += bench.say(1, stream[sentBefore]) }
        #expect(recalls(bench.say(3, .hello(offering(1, shards: [1], process: 3)))).count == 2)
        for message in stream.dropFirst(sentBefore + 1) + stream { actions += bench.say(1, message) }
        #expect(actions.evictions.isEmpty, "\(actions.evictions)")
        #expect(!isWhole(actions))
        #expect(isWhole(bench.say(3, .carry(CarryPart(step: 1, shard: 1)))))
        let recovered = bench.machine.recalled(digest: 8, stateDigest: 6, now: 0)
        #expect(recovered.contains(.recovered(step: 1)))
    }

    @Test("Two recalls of which the first was not begun: the first answer is taken, and the second is one too many")
    func askedTwice() {
        var bench = MachineBench(snapshotParts: 3, recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        _ = bench.say(1, .hello(offering(1, shards: [0], process: 1)))
        _ = bench.say(2, .hello(offering(1, shards: [1], process: 2)))
        _ = bench.machine.lose(2, "lost", now: 0)
        _ = bench.say(3, .hello(offering(1, shards: [1], process: 3)))
        var actions: [CoordinatorAction] = []
        for message in stream + stream.prefix(2) { actions += bench.say(1, message) }
        #expect(isWhole(bench.say(3, .carry(CarryPart(step: 1, shard: 1)))))
        actions += bench.machine.recalled(digest: 8, stateDigest: 6, now: 0)
        for message in stream.dropFirst(2) { actions += bench.say(1, message) }
        #expect(actions.evictions.isEmpty, "\(actions.evictions)")
        #expect(bench.machine.step == 1)
    }

    @Test("A part out of order from a donor that was asked once ends its session")
    func hole() {
        var bench = MachineBench(snapshotParts: 3, recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        _ = bench.say(1, .hello(offering(1, shards: [0, 1], process: 1)))
        #expect(bench.say(1, .snapshot(SnapshotPart(step: 1, part: 1))).evictions.count == 1)
    }

    @Test("What is not whole, or not agreed on, is not taken over when the wait is over")
    func notWhole() {
        // With the newest step on record.
        let offers: [(what: String, known: UInt64, hellos: [Hello])] = [
            ("beyond the run's last step", 900, [offering(1001, shards: [0, 1], process: 1)]),
            (
                "with two digests and no record", 4,
                (1...2).map { offering(3, shards: [0, 1], process: $0, digest: UInt64($0)) }
            ),
            ("without the history", 1, [offering(3, shards: [0, 1], process: 1, historyFrom: 3)]),
            ("with more history than is kept", 1, [offering(514, shards: [0, 1], process: 1)]),
            ("with the carry of another step", 1, [offering(2, shards: [0, 1], process: 1, carry: 1)]),
        ]
        for (what, known, hellos) in offers {
            let recovery = Recovery(knownDigests: [known: 8], checkpoint: 0)
            var bench = MachineBench(steps: 1000, recovery: recovery)
            for hello in hellos { #expect(recalls(bench.say(WorkerID(hello.process), .hello(hello))).isEmpty) }
            _ = bench.machine.tick(now: 0)
            var last: [CoordinatorAction] = []
            for tenth: UInt64 in 1...40 {
                bench.now = tenth * 100_000_000
                for hello in hellos { _ = bench.say(WorkerID(hello.process), .heartbeat) }
                last = bench.machine.tick(now: bench.now)
            }
            #expect(last.contains(.keptCheckpoint) && recalls(last).isEmpty, "a state \(what)")
        }
    }

    /// One worker has all of step 2, of which no line was written, and is asked for it.
    private func asked() -> MachineBench {
        var bench = MachineBench(recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        #expect(recalls(bench.say(1, .hello(offering(2, shards: [0, 1], process: 1)))).keys.sorted() == [1])
        return bench
    }

    private func record(_ step: UInt64) -> HistoryRecord {
        HistoryRecord(
            step: step, learningRateBits: 0, digest: 8,
            facts: StepFacts(lossBits: 0, gradientNormBits: 0, nanoseconds: 1, workers: 1))
    }

    @Test("What is handed over is of the step that was asked for, finite and whole, down to the optimizer's state")
    func handedOver() {
        for message in [
            Message.snapshot(SnapshotPart(step: 1, part: 0)), .history([]), .history([record(3)]),
            .history([record(1), record(2)]),
        ] {
            var bench = asked()
            #expect(bench.say(1, message).evictions.count == 1, "\(message)")
        }
        for message in [Message.snapshot(SnapshotPart(step: 2, part: 0)), .carry(CarryPart(step: 2, shard: 0))] {
            var bench = asked()
            let actions = bench.machine.received(
                message, Envelope(run: 5, worker: 1, sequence: 2, acknowledged: 0), isFinite: false, now: 0)
            #expect(actions.evictions == ["handed over a state that is not finite"])
        }
        var bench = asked()
        var actions = bench.say(1, .snapshot(SnapshotPart(step: 2, part: 0)))
        for shard: UInt32 in 0...1 { actions += bench.say(1, .carry(CarryPart(step: 2, shard: shard))) }
        #expect(!isWhole(actions))
        #expect(isWhole(bench.say(1, .history([record(2)]))))
        let refused = bench.machine.recalled(digest: 8, stateDigest: 5, now: 0)
        #expect(refused.evictions == ["the replica that it handed over is not what it offered"])
        #expect(bench.machine.step == 0)
    }

    @Test("A rate that is not finite is no sound history either")
    func unsoundRate() {
        var bench = asked()
        var unsound = record(2)
        unsound.learningRateBits = Double.infinity.bitPattern
        #expect(bench.say(1, .history([unsound])).contains(.ban(1, name: "w1", host: "h")))
    }

    @Test("A worker that does not hand over its state within a minute is given up")
    func handsNothingOver() {
        var bench = asked()
        var evictions: [UInt64: [String]] = [:]
        for tenth: UInt64 in 1...610 {
            bench.now = tenth * 100_000_000
            _ = bench.say(1, .heartbeat)
            let found = bench.machine.tick(now: bench.now).evictions
            if !found.isEmpty { evictions[tenth] = found }
            if bench.machine.workers.isEmpty { break }
        }
        #expect(evictions == [601: ["did not hand over its state in time"]])
    }

    @Test("A carry that was on its way when its recall came to nothing is nobody's fault")
    func carryOfAnEarlierRecall() {
        var bench = MachineBench(recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        _ = bench.say(1, .hello(offering(1, shards: [0], process: 1)))
        // Its own replica is too old; its carry is not.
        let second = bench.say(2, .hello(offering(0, shards: [1], process: 2, carry: 1)))
        #expect(recalls(second).keys.sorted() == [1, 2])
        _ = bench.say(3, .hello(offering(1, shards: [0, 1], process: 3)))
        #expect(recalls(bench.machine.lose(1, "died", now: 0)).keys.sorted() == [3])
        let late = bench.say(2, .carry(CarryPart(step: 1, shard: 1)))
        #expect(late.evictions.isEmpty && late.discards.count == 1)
    }

    @Test("A worker whose history is not finite is refused, and another state is chosen")
    func unsoundHistory() {
        var bench = MachineBench(recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        #expect(recalls(bench.say(1, .hello(offering(2, shards: [0, 1], process: 1, digest: 9)))).keys.sorted() == [1])
        _ = bench.say(2, .hello(offering(1, shards: [0, 1], process: 2)))
        let record = HistoryRecord(
            step: 2, learningRateBits: 0, digest: 9,
            facts: StepFacts(lossBits: Double.nan.bitPattern, gradientNormBits: 0, nanoseconds: 1, workers: 1))
        let actions = bench.say(1, .history([record]))
        #expect(actions.contains(.ban(1, name: "w1", host: "h")))
        #expect(actions.evictions == ["the history that it handed over is not finite"])
        #expect(!actions.contains { if case .fail = $0 { true } else { false } })
        #expect(recalls(actions).keys.sorted() == [2])
    }

    @Test("The first step waits for workers that kept their replica, but not for ever")
    func silentAboutItsReplica() {
        var bench = MachineBench(recovery: Recovery(knownDigests: [1: 8], checkpoint: 0))
        _ = bench.say(1, .hello(offering(1, shards: [0, 1], process: 1)))
        _ = bench.say(2, .hello(offering(1, shards: [], process: 2)))
        for message in [
            Message.carry(CarryPart(step: 1, shard: 0)), .carry(CarryPart(step: 1, shard: 1)),
            .snapshot(SnapshotPart(step: 1, part: 0)), .history([]),
        ] { _ = bench.say(1, message) }
        _ = bench.machine.recalled(digest: 8, stateDigest: 6, now: 0)
        #expect(bench.say(1, .applied(Applied(step: 1, digest: 8))).leases.isEmpty)
        var leases: [UInt64] = []
        for tenth: UInt64 in 0...110 {
            bench.now = tenth * 100_000_000
            for worker: WorkerID in [1, 2] { _ = bench.say(worker, .heartbeat) }
            if !bench.machine.tick(now: bench.now).leases.isEmpty { leases.append(tenth) }
        }
        #expect(leases == [100])
        #expect(bench.machine.workers == [1, 2] && bench.machine.readyWorkers == [1])
    }

    @Test("Nothing beyond an evaluation that is to be made is taken over, and its own step is not waited beyond")
    func ceiling() {
        for (offered, isTaken) in [(UInt64(1), true), (2, true), (3, false)] {
            let known: [UInt64: UInt64] = [1: 8, 2: 8, 3: 8]
            var bench = MachineBench(recovery: Recovery(knownDigests: known, checkpoint: 0, ceiling: 2))
            let atOnce = !recalls(bench.say(1, .hello(offering(offered, shards: [0, 1], process: 1)))).isEmpty
            #expect(atOnce == (offered == 2))
            _ = bench.machine.tick(now: 0)
            var last: [CoordinatorAction] = []
            for tenth: UInt64 in 1...40 {
                bench.now = tenth * 100_000_000
                _ = bench.say(1, .heartbeat)
                last = bench.machine.tick(now: bench.now)
            }
            #expect((atOnce || !recalls(last).isEmpty) == isTaken)
            #expect(last.contains(.keptCheckpoint) == !isTaken)
        }
    }

    @Test("A worker that is welcomed has nothing more to hand over")
    func workerWelcomed() {
        var configuration = WorkerMachine.Configuration()
        configuration.credits = 4
        let offer = Offer(
            step: 1, digest: 8, stateDigest: 6, carries: [.init(step: 1, shards: [0, 1, 2, 3])], historyFrom: 1)
        var worker = WorkerMachine(worker: 7, configuration: configuration, now: 0, run: 5, term: 1, offer: offer)
        _ = worker.start(now: 0)
        let recall = Recall(step: 1, wantsReplica: false, shards: [0, 1, 2, 3], historyFrom: 1)
        _ = worker.received(.recall(recall), Envelope(run: 5, worker: 7, sequence: 1, acknowledged: 1), now: 0)
        let items = (0..<4).map { WorkerItem.carry(CarryPart(step: 1, shard: $0)) }
        func carries(_ actions: [WorkerAction]) -> Int {
            actions.count { if case .send(.carry, _, _) = $0 { true } else { false } }
        }
        #expect(carries(worker.handOver(items, now: 0)) == 3)
        let welcome = Welcome(
            run: 5, term: 1, step: 1, snapshotParts: 0, heartbeatInterval: 250_000_000,
            silenceLimit: 1_500_000_000, configuration: [])
        let actions = worker.received(
            .welcome(welcome), Envelope(run: 5, worker: 7, sequence: 2, acknowledged: 4), now: 0)
        #expect(actions.contains(.keepReplica(welcome)) && carries(actions) == 0)
        #expect(carries(worker.tick(now: 1)) == 0)
    }
}
