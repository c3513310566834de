import Coordination
import Testing

/// A worker at step 3 of a run with two chunks, and what its coordinator tells it.
private struct WorkerBench {
    var machine: WorkerMachine
    private var sequence: UInt64 = 0

    static func welcome(step: UInt64 = 3, term: UInt64 = 2, parts: UInt32 = 1) -> Welcome {
        Welcome(
            run: 5, term: term, step: step, snapshotParts: parts, heartbeatInterval: 250_000_000,
            silenceLimit: 1_500_000_000, configuration: [])
    }

    /// Greets, no more.
    init(run: UInt64 = 0, term: UInt64 = 0, offer: Offer? = nil) {
        machine = WorkerMachine(worker: 7, configuration: .init(), now: 0, run: run, term: term, offer: offer)
        _ = machine.start(now: 0)
    }

    static func serving() -> WorkerBench {
        var bench = WorkerBench()
        _ = bench.hear(.welcome(welcome()))
        bench.machine.adopted(chunks: 2)
        _ = bench.hear(.snapshot(SnapshotPart(step: 3, part: 0)))
        return bench
    }

    mutating func hear(_ message: Message, to worker: WorkerID = 7, now: UInt64 = 0) -> [WorkerAction] {
        sequence += 1
        return machine.received(
            message, Envelope(run: 5, worker: worker, sequence: sequence, acknowledged: 0), now: now)
    }
}

extension [WorkerAction] {
    fileprivate var complaints: [String] {
        compactMap { if case .rejoin(let reason) = $0 { reason } else { nil } }
    }
    fileprivate var items: [WorkerItem] { compactMap { if case .send(let item, _, _) = $0 { item } else { nil } } }
}

@Suite("The worker's machine")
struct WorkerMachineTests {
    private static let facts = StepFacts(lossBits: 0, gradientNormBits: 0, nanoseconds: 1, workers: 1)
    private let commit = Message.commit(
        Commit(
            step: 3, learningRateBits: 0, clipCoefficientBits: 0, biasCorrection1Bits: 0, biasCorrection2Bits: 0,
            record: facts))

    private func lease(generation: UInt32) -> Lease {
        Lease(generation: generation, step: 3, shards: [0], carried: [0], resetsCarry: false)
    }

    @Test("A message for an earlier incarnation is discarded, whatever it says")
    func incarnation() {
        var bench = WorkerBench.serving()
        #expect(bench.hear(.finish, to: 8) == [.discard(reason: "a message for an earlier incarnation")])
    }

    @Test("A worker whose coordinator is done says goodbye, and nothing after it")
    func finish() {
        var bench = WorkerBench.serving()
        let actions = bench.hear(.finish)
        #expect(actions.items == [.goodbye] && actions.last == .finish)
        #expect(bench.machine.tick(now: 60_000_000_000).isEmpty)
    }

    @Test("An update is made once all averages of its step are there, and not before")
    func commitBeforeAverages() {
        var bench = WorkerBench.serving()
        _ = bench.hear(.average(AveragePart(step: 3, chunk: 1)))
        var early = bench
        #expect(early.hear(commit).complaints == ["a commit came out of order"])
        _ = bench.hear(.average(AveragePart(step: 3, chunk: 0)))
        #expect(bench.hear(commit).contains { if case .apply = $0 { true } else { false } })
        #expect(bench.machine.step == 4)
    }

    @Test("A step that begins again takes its averages anew, and no lease from before")
    func restarted() {
        var bench = WorkerBench.serving()
        _ = bench.hear(.average(AveragePart(step: 3, chunk: 0)))
        #expect(bench.hear(.restart(Restart(generation: 4, step: 3))).contains(.restartStep(generation: 4)))
        #expect(
            bench.hear(.average(AveragePart(step: 3, chunk: 0))).contains(.storeAverage(step: 3, chunk: 0)))
        #expect(bench.hear(.lease(lease(generation: 4))).contains(.compute(lease(generation: 4))))
        var again = bench
        #expect(again.hear(.restart(Restart(generation: 4, step: 3))).complaints == ["a restart came out of order"])
        #expect(bench.hear(.lease(lease(generation: 3))).complaints == ["a lease came out of order"])
    }

    @Test("What was computed for a step that is over, or began again, is not sent")
    func lateResults() {
        var bench = WorkerBench.serving()
        _ = bench.hear(.restart(Restart(generation: 4, step: 3)))
        func items(generation: UInt32, step: UInt64) -> [WorkerItem] {
            let answer = ShardAnswer(lossBits: 0, carryDigest: 0, chunkDigests: [])
            return [
                .gradient(
                    GradientPart(generation: generation, step: step, node: TreeNode(level: 0, index: 0), chunk: 0)),
                .nodeResult(
                    NodeResult(
                        generation: generation, step: step, node: TreeNode(level: 0, index: 0), lossBits: [0])),
                .audited(AuditReport(generation: generation, step: step, shard: 0, answer: answer)),
            ]
        }
        #expect(bench.machine.computed(items(generation: 3, step: 3), now: 0).isEmpty)
        #expect(bench.machine.computed(items(generation: 4, step: 2), now: 0).isEmpty)
        let present = items(generation: 4, step: 3)
        #expect(bench.machine.computed(present, now: 0).items == present)
        func evaluated(_ step: UInt64) -> WorkerItem {
            .evaluated(EvaluationResult(step: step, segments: [0], lossBits: [0]))
        }
        #expect(bench.machine.computed([evaluated(2), evaluated(3)], now: 0).items == [evaluated(3)])
    }

    @Test("A coordinator older than the last one served is refused; the newest term is kept")
    func terms() {
        var bench = WorkerBench(run: 5, term: 2)
        let refused = bench.hear(.welcome(WorkerBench.welcome(term: 1))).contains {
            if case .refused(let refusal) = $0 { refusal.code == .otherRun } else { false }
        }
        #expect(refused)
        bench = WorkerBench(run: 5, term: 2)
        _ = bench.hear(.welcome(WorkerBench.welcome(term: 9)))
        #expect(bench.machine.term == 9 && bench.machine.hasJoined)
    }

    @Test("Only the replica that was offered goes on without a snapshot, and only what was offered is handed over")
    func offers() {
        let offer = Offer(step: 3, digest: 8, stateDigest: 6, carries: [.init(step: 3, shards: [1])], historyFrom: 1)
        func hear(_ message: Message, offering offer: Offer?) -> [WorkerAction] {
            var bench = WorkerBench(run: 5, term: 2, offer: offer)
            return bench.hear(message)
        }
        for (step, offered) in [(UInt64(3), nil), (4, offer)] {
            let actions = hear(.welcome(WorkerBench.welcome(step: step, parts: 0)), offering: offered)
            #expect(actions.complaints == ["the welcome makes no sense"])
        }
        for recall in [
            Recall(step: 4, wantsReplica: true, shards: [], historyFrom: 1),
            Recall(step: 3, wantsReplica: false, shards: [0, 1], historyFrom: 1),
            Recall(step: 2, wantsReplica: false, shards: [1], historyFrom: 1),
        ] {
            let actions = hear(.recall(recall), offering: offer)
            #expect(actions.complaints == ["the coordinator asked for what was not offered"])
        }
    }

    @Test("A coordinator is lost after twice its own limit of silence, but not for the worker's own sleep")
    func silence() {
        var bench = WorkerBench.serving()
        for tenth: UInt64 in 1...30 {
            #expect(bench.machine.tick(now: tenth * 100_000_000).complaints.isEmpty)
        }
        var asleep = bench
        #expect(asleep.machine.tick(now: 60_000_000_000).complaints.isEmpty)
        #expect(
            bench.machine.tick(now: 3_100_000_000).complaints == ["the coordinator has been silent for 3100 ms"])
    }
}

@Suite("Sessions")
struct SessionTests {
    @Test("An acknowledgement of what was never sent is a gap; an older one takes no credit back")
    func acknowledgements() {
        var session = Session<Int>(credits: 2)
        var forged = session
        #expect(forged.receive(sequence: 1, acknowledged: 1) == .gap)
        for item in 0..<4 { session.enqueue(item) }
        #expect(session.releasable() == [0, 1])
        for _ in 0..<2 { _ = session.stamp() }
        #expect(session.releasable().isEmpty)
        #expect(session.receive(sequence: 1, acknowledged: 2) == .inOrder)
        #expect(session.receive(sequence: 2, acknowledged: 1) == .inOrder)
        #expect(session.releasable() == [2, 3])
    }
}
