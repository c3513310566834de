import Testing

@testable import Coordination

@Suite("The coordinator's machine")
struct CoordinatorMachineTests {
    private let root = TreeNode(level: 1, index: 0)

    @Test("A worker that tells twice of a step is evicted")
    func tellsTwice() {
        var bench = MachineBench()
        _ = bench.join(1)
        let actions = bench.say(1, .applied(Applied(step: 0, digest: 1)))
        #expect(actions.evictions == ["told twice of step 0"])
    }

    @Test("A greeting that comes twice is discarded")
    func greetsTwice() {
        var bench = MachineBench()
        let hello = Message.hello(Hello(run: 0, name: "w", host: "h", process: 1, threads: 1, software: "t"))
        let envelope = Envelope(run: 0, worker: 1, sequence: 1, acknowledged: 0)
        _ = bench.machine.received(hello, envelope, now: 0)
        let again = bench.machine.received(hello, envelope, now: 1)
        #expect(again == [.discard(1, reason: "a message came twice")])
        #expect(bench.machine.workers == [1])
    }

    @Test("Of many that a step waits for, a few are named")
    func manyLate() throws {
        var bench = MachineBench(shards: 20, minimum: 20)
        for worker in WorkerID(1)...20 { _ = bench.join(worker) }
        let reason = try #require(bench.machine.waitingReason(now: 0) as String?)
        #expect(reason.split(separator: ";").count == 9 && reason.hasSuffix("; 12 workers more"))
    }

    @Test("A worker that tells of a replica before its snapshot has left is evicted")
    func tellsTooEarly() {
        // More parts than credits: without an acknowledgement the last ones wait.
        var bench = MachineBench(snapshotParts: 100)
        let actions = bench.join(1)
        #expect(actions.evictions == ["told of a replica that it has not got"])
        #expect(!actions.contains { if case .joined = $0 { true } else { false } })
    }

    @Test("The longest times that workers can tell of do not overflow")
    func longTimes() {
        var bench = MachineBench(minimum: 2)
        var actions: [CoordinatorAction] = []
        for worker in WorkerID(1)...2 {
            let hello = Hello(run: 0, name: "w\(worker)", host: "h", process: 1, threads: 4096, software: "t")
            actions += bench.say(worker, .hello(hello))
            actions += bench.say(worker, .applied(Applied(step: 0, digest: 1)))
        }
        var leases: [Lease] = []
        for (index, lease) in actions.leases.enumerated() {
            let worker = WorkerID(index + 1)
            for node in bench.machine.tree.cover(lease.shards.map(Int.init)) {
                _ = bench.gradient(worker, step: 0, node: node, generation: lease.generation)
            }
            for shard in lease.shards {
                leases += bench.result(worker, step: 0, shard: shard, generation: lease.generation).leases
            }
        }
        #expect(leases.count == 2)
        bench.machine.digested(step: 1, digest: 1)
        var times = ComputeTimes()
        (times.forward, times.backward) = (ComputeTimes.limit, ComputeTimes.limit)
        for worker in WorkerID(1)...2 {
            _ = bench.say(worker, .applied(Applied(step: 1, digest: 1, times: times)))
        }
        // Whoever joins now is expected to be as fast.
        #expect(bench.join(3).evictions.isEmpty)
        #expect(bench.machine.paces.count == 3)
    }

    @Test("The first step waits for the minimum of workers, then leases all shards")
    func minimum() {
        var bench = MachineBench(minimum: 2)
        #expect(bench.join(1).leases.isEmpty)
        #expect(bench.machine.waitingReason(now: 0) == "step 1 waits for 1 more worker")
        #expect(bench.join(2).leases.flatMap(\.shards) == [0, 1])
    }

    @Test("The first step waits for no worker that will not come, and for one at least")
    func givenUp() {
        var bench = MachineBench(minimum: 2)
        #expect(bench.join(1).leases.isEmpty)
        #expect(bench.machine.expectAtMost(2, now: 0).leases.isEmpty)
        #expect(bench.machine.expectAtMost(1, now: 0).leases.flatMap(\.shards) == [0, 1])
        var alone = MachineBench()
        _ = alone.machine.expectAtMost(0, now: 0)
        #expect(alone.machine.configuration.minimumWorkers == 1)
    }

    @Test("A step commits when all chunks and all shards are there, and the next one opens")
    func commit() {
        var bench = MachineBench()
        _ = bench.join(1)
        #expect(bench.gradient(1, step: 0, node: root).commits.isEmpty)
        #expect(bench.result(1, step: 0, shard: 0).commits.isEmpty)
        let last = bench.result(1, step: 0, shard: 1)
        #expect(last.commits == [0])
        #expect(last.leases.map(\.step) == [1])
        // The worker holds the carry of what it computed.
        #expect(last.leases[0].carried.isEmpty)
    }

    @Test("Shards are shared by how fast workers compute, not by how long their bytes take", arguments: [true, false])
    func shares(areTold: Bool) {
        var bench = MachineBench(shards: 16, minimum: 2)
        _ = bench.join(1)
        var leases = bench.join(2).leases
        for step in UInt64(0)..<2 {
            var held: [(WorkerID, Lease)] = []
            for lease in leases { held.append((WorkerID(held.count + 1), lease)) }
            leases = []
            // The second worker's results are on the way for nine times as long.
            for (worker, lease) in held {
                bench.now += worker == 1 ? 100_000 : 800_000
                for node in bench.machine.tree.cover(lease.shards.map(Int.init)) {
                    _ = bench.gradient(worker, step: step, node: node, generation: lease.generation)
                }
                for shard in lease.shards {
                    leases += bench.result(worker, step: step, shard: shard, generation: lease.generation).leases
                }
            }
            bench.machine.digested(step: step + 1, digest: 1)
            var times = ComputeTimes()
            if areTold { (times.forward, times.backward) = (20_000, 30_000) }
            for (worker, lease) in held {
                times.forward *= UInt64(lease.shards.count)
                times.backward *= UInt64(lease.shards.count)
                _ = bench.say(worker, .applied(Applied(step: step + 1, digest: 1, times: times)))
                times.forward /= UInt64(lease.shards.count)
                times.backward /= UInt64(lease.shards.count)
            }
        }
        #expect((leases.map(\.shards.count) == [8, 8]) == areTold, "\(leases.map(\.shards.count))")
    }

    @Test("A late gradient is discarded")
    func late() {
        var bench = MachineBench()
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
        var bench = MachineBench(minimum: 2)
        _ = bench.join(1)
        #expect(bench.gradient(1, step: 0, node: root).evictions.count == 1)
    }

    @Test("A result without its gradient ends the session, so that no step waits for ever")
    func resultFirst() {
        var bench = MachineBench()
        _ = bench.join(1)
        #expect(bench.result(1, step: 0, shard: 0).evictions == ["sent a result before its gradient"])
    }

    @Test("The shards of a lost worker go to the others at once, with their carry")
    func lost() {
        var bench = MachineBench()
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
        var bench = MachineBench(minimum: 2)
        _ = bench.join(1)
        let generation = bench.join(2).leases[0].generation
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 0), generation: generation)
        _ = bench.result(1, step: 0, shard: 0, generation: generation)
        #expect(bench.machine.lose(1, "killed", now: 0).leases.isEmpty)
    }

    @Test("Silence beyond the limit ends a session; a word in time does not")
    func silence() {
        var bench = MachineBench()
        _ = bench.join(1)
        _ = bench.join(2)
        for moment: UInt64 in 1...15 {
            _ = bench.machine.tick(now: moment * 100_000_000)
            bench.now = moment * 100_000_000
            if moment == 10 { _ = bench.say(2, .heartbeat) }
        }
        let actions = bench.machine.tick(now: 1_600_000_000)
        #expect(actions.evictions == ["silent for 1600 ms"])
        #expect(bench.machine.readyWorkers == [2])
    }

    @Test("A replica that differs is named and refused")
    func differs() {
        var bench = MachineBench()
        let actions = bench.join(1, digest: 2)
        #expect(actions.evictions.first?.hasPrefix("its replica differs after step 0") == true)
        #expect(bench.machine.readyWorkers.isEmpty)
    }

    @Test("A lost message ends the session, a doubled one is discarded")
    func sequence() {
        var bench = MachineBench()
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
        var bench = MachineBench()
        let hello = Hello(run: 6, name: "w", host: "h", process: 1, threads: 1, software: "t")
        let actions = bench.say(1, .hello(hello))
        #expect(
            actions == [
                .refuse(
                    1,
                    Refusal(
                        code: .otherRun,
                        reason: "this coordinator serves another run: start the worker anew to serve this one"))
            ])
    }

    @Test("A worker that never acknowledges gets no more than its credits")
    func credits() {
        var bench = MachineBench(shards: 1, chunks: 200)
        let sends = bench.join(1).filter { if case .send = $0 { true } else { false } }
        var more = 0
        for chunk in 0..<200 {
            let part = GradientPart(generation: 1, step: 0, node: TreeNode(level: 0, index: 0), chunk: UInt32(chunk))
            more +=
                bench.say(1, .gradient(part)).filter {
                    if case .send(_, .average, _, _) = $0 { true } else { false }
                }.count
        }
        #expect(sends.count + more <= Int(bench.machine.configuration.credits))
        #expect(bench.machine.oldestNeededStep == 0)
    }

    @Test("A worker that speaks for another run, is ahead of this one, or has no number is not heard")
    func nonsense() {
        var bench = MachineBench()
        _ = bench.join(1)
        var other = bench
        let foreign = other.machine.received(
            .heartbeat, Envelope(run: 6, worker: 1, sequence: 3, acknowledged: 0), now: 0)
        #expect(foreign.evictions == ["spoke for another run"])
        #expect(bench.say(1, .applied(Applied(step: 1, digest: 1))).evictions == ["is ahead of the run"])
        #expect(bench.join(0).allSatisfy { if case .refuse = $0 { true } else { false } })
    }

    @Test("What waits for a worker that does not read is bounded")
    func slowReader() {
        var bench = MachineBench()
        _ = bench.join(1)
        for _ in 0..<400 { bench.machine.members[1]!.session.enqueue(.heartbeat) }
        #expect(bench.machine.tick(now: 1).evictions == ["reads too slowly to keep up"])
    }

    @Test("Who has heard nothing for the heartbeat's interval is sent a word, and not before")
    func heartbeats() {
        var bench = MachineBench()
        _ = bench.join(1)
        func words(_ now: UInt64) -> Int {
            bench.machine.tick(now: now).count { if case .send(1, .heartbeat, _, _) = $0 { true } else { false } }
        }
        #expect([249_999_999, 250_000_000, 251_000_000].map(words) == [0, 1, 0])
    }

    @Test("Beyond the most workers that are let in, the next is refused")
    func full() {
        var bench = MachineBench()
        bench.machine.configuration.maximumWorkers = 1
        _ = bench.join(1)
        let codes = bench.join(2).compactMap { if case .refuse(2, let refusal) = $0 { refusal.code } else { nil } }
        #expect(codes.first == .full && bench.machine.workers == [1])
    }

    @Test("Who joins in the middle of a step gets its averages, and a snapshot whatever it offers")
    func joinsLate() {
        var bench = MachineBench()
        _ = bench.join(1)
        _ = bench.gradient(1, step: 0, node: root)
        let offer = Offer(step: 0, digest: 1, stateDigest: 1, carries: [], historyFrom: 1)
        let hello = Hello(
            run: 5, name: "w2", host: "h", process: 2, threads: 1, software: "t", term: 1, offer: offer)
        let items = bench.say(2, .hello(hello)).compactMap {
            if case .send(2, let item, _, _) = $0 { item } else { nil }
        }
        #expect(
            items == [
                .welcome(step: 0, snapshotParts: 1), .snapshot(SnapshotPart(step: 0, part: 0)),
                .average(AveragePart(step: 0, chunk: 0)),
            ])
    }

    @Test("The carry is reset at the first step of every epoch; a lease that waited beyond its step is never sent")
    func epochs() {
        var bench = MachineBench(steps: 7)
        var lease = bench.join(1).leases[0]
        var resets: [Bool] = []
        for step in UInt64(0)..<6 {
            resets.append(lease.resetsCarry)
            bench.now += 2_000_000
            _ = bench.gradient(1, step: step, node: root)
            _ = bench.result(1, step: step, shard: 0)
            let next = bench.result(1, step: step, shard: 1).leases
            #expect(next.map(\.step) == [step + 1])
            bench.machine.members[1]!.session.enqueue(.lease(lease))
            #expect(bench.machine.tick(now: bench.now).leases.isEmpty)
            lease = next[0]
        }
        #expect(resets == [true, false, false, true, false, false])
        // Both of its shards took 2 ms.
        #expect(bench.machine.members[1]!.cost == 1_000_000)
    }

    @Test("The scalars of a step are kept until its commit has left")
    func oldestNeeded() {
        var bench = MachineBench()
        _ = bench.join(1)
        _ = bench.gradient(1, step: 0, node: root)
        for shard: UInt32 in 0...1 { _ = bench.result(1, step: 0, shard: shard) }
        #expect(bench.machine.oldestNeededStep == 1)
        bench.machine.members[1]!.session.enqueue(.commit(step: 0))
        #expect(bench.machine.oldestNeededStep == 0)
    }

    @Test("A worker that gets nothing is held to be a little better after each step, so that it is tried again")
    func triedAgain() {
        var bench = MachineBench(shards: 1)
        _ = bench.join(1)
        _ = bench.join(2)
        bench.machine.members[2]!.work = 3200
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 0))
        _ = bench.result(1, step: 0, shard: 0)
        #expect(bench.machine.members[2]!.work == 3100)
    }

    @Test("A coordinator that stood still itself blames nobody for the silence")
    func ownSleep() {
        var bench = MachineBench()
        _ = bench.join(1)
        _ = bench.machine.tick(now: 100_000_000)
        #expect(bench.machine.tick(now: 60_000_000_000).evictions.isEmpty)
        #expect(bench.machine.readyWorkers == [1])
    }

    @Test("A replica that differed is not let in again under its name")
    func banned() {
        var bench = MachineBench()
        _ = bench.join(1, digest: 2)
        let hello = Hello(run: 0, name: "w1", host: "h", process: 9, threads: 1, software: "t")
        let refusals = bench.say(7, .hello(hello)).compactMap {
            if case .refuse(7, let refusal) = $0 { refusal.code } else { nil }
        }
        #expect(refusals == [.banned])
    }

    @Test("Two replicas that agree with each other and not with the coordinator stop the run")
    func coordinatorDiffers() {
        var bench = MachineBench()
        for worker: WorkerID in [1, 2] { _ = bench.join(worker) }
        func fails(_ worker: WorkerID) -> Bool {
            bench.say(worker, .applied(Applied(step: 0, digest: 2))).contains {
                if case .fail(_, savesState: false) = $0 { true } else { false }
            }
        }
        #expect(!fails(1))
        #expect(fails(2))
    }

    @Test("Strangers with false digests, or without a run, cannot stop the run")
    func strangers() {
        var bench = MachineBench()
        var actions: [CoordinatorAction] = []
        for worker: WorkerID in 1...2000 { actions += bench.join(worker, digest: 2) }
        #expect(actions.evictions.count == 2000)
        actions += bench.say(
            3000, .hello(Hello(run: 0, name: "n", host: "h", process: 1, threads: 1, software: "t", term: .max)))
        #expect(!actions.contains { if case .fail = $0 { true } else { false } })
        #expect(bench.machine.banned.count == bench.machine.configuration.maximumWorkers)
    }

    @Test("A newer coordinator of the run is known by the worker that served it")
    func superseded() {
        var bench = MachineBench()
        let hello = Hello(run: 5, name: "w", host: "h", process: 1, threads: 1, software: "t", term: 2)
        let failed = bench.say(1, .hello(hello)).contains {
            if case .fail(_, savesState: false) = $0 { true } else { false }
        }
        #expect(failed)
    }

    @Test("A late lease is given to an idle worker too, with its carry; the first result wins")
    func speculation() {
        var bench = MachineBench(minimum: 2)
        _ = bench.join(1)
        let generation = bench.join(2).leases[0].generation
        bench.now = 10_000_000
        // Worker 1 is done with its shard in 10 ms; worker 2 keeps silent about its own.
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 0), generation: generation)
        _ = bench.result(1, step: 0, shard: 0, generation: generation)
        #expect(bench.machine.tick(now: 112_000_000).leases.isEmpty)
        let again = bench.machine.tick(now: 200_000_000).leases
        #expect(again.map(\.shards) == [[1]])
        // Where the late one is lost now, the other has its shard already.
        var lost = bench
        #expect(lost.machine.lose(2, "died", now: bench.now).leases.isEmpty)
        bench.now = 210_000_000
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 1), generation: again[0].generation)
        #expect(bench.result(1, step: 0, shard: 1, generation: again[0].generation).commits == [0])
        let late = bench.gradient(2, step: 0, node: TreeNode(level: 0, index: 1), generation: generation)
        #expect(late.discards.count == 1)
        // It takes at least as long as it has taken, and nobody knows that it holds the carry.
        #expect(bench.machine.members[2]!.cost == 210_000_000)
        #expect(bench.machine.members[2]!.carries.isEmpty)
    }

    @Test("A lease whose every holder is late is given to one more, however many hold it")
    func speculationAgain() {
        var bench = MachineBench(minimum: 2)
        _ = bench.join(1)
        let generation = bench.join(2).leases[0].generation
        bench.now = 10_000_000
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 0), generation: generation)
        _ = bench.result(1, step: 0, shard: 0, generation: generation)
        // Worker 2 stands still, and then worker 1 with the same shard.
        #expect(bench.machine.tick(now: 200_000_000).leases.map(\.shards) == [[1]])
        bench.now = 210_000_000
        _ = bench.join(3)
        #expect(bench.machine.tick(now: 300_000_000).leases.isEmpty)
        #expect(bench.machine.tick(now: 400_000_000).leases.map(\.shards) == [[1]])
        #expect(bench.machine.tick(now: 410_000_000).leases.isEmpty)
    }

    @Test("A result that is not finite is settled as a gradient is; what its sender leaves is for the others at once")
    func notFiniteResult() {
        var bench = MachineBench(minimum: 2)
        _ = bench.join(1)
        let generation = bench.join(2).leases[0].generation
        _ = bench.gradient(1, step: 0, node: TreeNode(level: 0, index: 0), generation: generation)
        bench.sequence[1]! += 1
        let result = NodeResult(
            generation: generation, step: 0, node: TreeNode(level: 0, index: 0), lossBits: [0])
        let actions = bench.machine.received(
            .nodeResult(result), Envelope(run: 5, worker: 1, sequence: bench.sequence[1]!, acknowledged: 0),
            isFinite: false, now: 0)
        #expect(actions.contains { if case .settle = $0 { true } else { false } })
        #expect(!actions.contains { if case .acceptShards = $0 { true } else { false } })
        #expect(bench.machine.lose(1, "died", now: 0).leases.map(\.shards) == [[0]])
    }

    @Test(
        "Of a result of several shards, those are taken that nobody reported; a result of other shards ends the session"
    )
    func nodeResults() {
        var bench = MachineBench(shards: 4, minimum: 2)
        _ = bench.join(1)
        let leases = bench.join(2).leases
        #expect(leases.map(\.shards) == [[0, 1], [2, 3]])
        let generation = leases[0].generation
        let pair = TreeNode(level: 1, index: 0)
        func result(_ node: TreeNode, losses: Int) -> Message {
            .nodeResult(
                NodeResult(
                    generation: generation, step: 0, node: node, lossBits: Array(repeating: 0, count: losses)))
        }
        func accepted(_ actions: [CoordinatorAction]) -> [[Int]] {
            actions.compactMap { if case .acceptShards(let shards) = $0 { shards } else { nil } }
        }
        var early = bench
        #expect(early.say(1, result(pair, losses: 2)).evictions == ["sent a result before its gradient"])
        _ = bench.gradient(1, step: 0, node: pair, generation: generation)
        for (node, losses) in [(pair, 1), (TreeNode(level: 1, index: 1), 2), (TreeNode(level: 2, index: 0), 4)] {
            var other = bench
            #expect(
                other.say(1, result(node, losses: losses)).evictions == ["sent a result that it was not asked for"])
        }
        #expect(accepted(bench.result(1, step: 0, shard: 1, generation: generation)) == [[1]])
        #expect(accepted(bench.say(1, result(pair, losses: 2))) == [[0]])
        #expect(bench.say(1, result(pair, losses: 2)).discards == ["a result came twice"])
        #expect(bench.machine.status(now: 0).acceptedShards == 2)
    }

    @Test("A NaN that the coordinator does not find itself is the worker's lie; one that it finds stops the run")
    func notFinite() throws {
        for isFinite in [true, false] {
            var bench = MachineBench()
            let lease = bench.join(1).leases[0]
            bench.sequence[1]! += 1
            let part = GradientPart(generation: lease.generation, step: 0, node: root, chunk: 0)
            let actions = bench.machine.received(
                .gradient(part), Envelope(run: 5, worker: 1, sequence: bench.sequence[1]!, acknowledged: 0),
                isFinite: false, now: 0)
            let dispute = try #require(
                actions.compactMap { if case .settle(let dispute) = $0 { dispute } else { nil } }.first)
            let settled = bench.machine.settled(dispute, answer: nil, isFinite: isFinite, now: 0)
            let failed = settled.contains { if case .fail(_, savesState: true) = $0 { true } else { false } }
            #expect(failed == !isFinite)
            #expect(settled.evictions.isEmpty == !isFinite)
        }
    }
}
