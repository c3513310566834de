import Testing

@testable import Coordination

/// Two workers that hold a shard each, the first step, and an audit.
private struct AuditedStep {
    var bench = MachineBench(minimum: 2, audits: 1_000_000)
    let shard: UInt32
    let generation: UInt32
    let original: WorkerID
    var auditor: WorkerID { 3 - original }
    let right = ShardAnswer(lossBits: 0, carryDigest: 9, chunkDigests: [9])

    /// - Parameter name: of both workers; nil for one each.
    init(name: String? = nil) throws {
        _ = bench.join(1, name: name)
        let audit = try #require(bench.join(2, name: name).leases.first { $0.isAudit })
        shard = audit.shards[0]
        generation = audit.generation
        let machine = bench.machine
        original = try #require([1, 2].first { machine.leasedShards(of: $0) == [Int(audit.shards[0])] })
    }

    /// The gradient and the result of one shard, with payloads of this digest.
    mutating func compute(_ worker: WorkerID, _ shard: UInt32, generation: UInt32, digest: UInt64)
        -> [CoordinatorAction]
    {
        let node = TreeNode(level: 0, index: Int(shard))
        return bench.gradient(worker, step: 0, node: node, generation: generation, digest: digest)
            + bench.result(worker, step: 0, shard: shard, generation: generation, digest: digest)
    }

    mutating func report(_ answer: ShardAnswer) -> [CoordinatorAction] {
        bench.say(
            auditor, .audited(AuditReport(generation: generation, step: 0, shard: shard, answer: answer)))
    }

    mutating func settle(_ dispute: Dispute, _ answer: ShardAnswer) -> [CoordinatorAction] {
        bench.machine.settled(dispute, answer: answer, isFinite: true, now: bench.now)
    }
}

extension [CoordinatorAction] {
    fileprivate var disputes: [Dispute] {
        compactMap { if case .settle(let dispute) = $0 { dispute } else { nil } }
    }
    fileprivate var bans: [WorkerID] { compactMap { if case .ban(let worker, _, _) = $0 { worker } else { nil } } }
}

@Suite("Audits")
struct AuditTests {
    @Test("An audit that agrees lets the step commit")
    func agrees() throws {
        var step = try AuditedStep()
        var actions = step.compute(step.original, step.shard, generation: step.generation, digest: 9)
        actions += step.compute(step.auditor, 1 - step.shard, generation: step.generation, digest: 5)
        #expect(actions.commits.isEmpty)
        let last = step.report(step.right)
        #expect(last.commits == [0])
        #expect(last.disputes.isEmpty)
    }

    @Test("An audit that differs is settled by the coordinator; the liar goes, and the step begins again")
    func differs() throws {
        var step = try AuditedStep()
        _ = step.compute(step.original, step.shard, generation: step.generation, digest: 4)
        _ = step.compute(step.auditor, 1 - step.shard, generation: step.generation, digest: 5)
        let dispute = try #require(step.report(step.right).disputes.first)
        let waiting: [CoordinatorItem] = [
            .lease(Lease(generation: step.generation, step: 0, shards: [0], carried: [], resetsCarry: true)),
            .average(AveragePart(step: 0, chunk: 0)),
        ]
        for item in waiting { step.bench.machine.members[step.auditor]!.session.enqueue(item) }
        let settled = step.settle(dispute, step.right)
        #expect(settled.contains(.abandonStep))
        #expect(settled.bans == [step.original])
        #expect(step.bench.machine.readyWorkers == [step.auditor])
        // What waited for credits is withdrawn.
        #expect(settled.leases.map(\.shards) == [[0, 1]])
        #expect(!settled.contains { if case .send(_, .average, _, _) = $0 { true } else { false } })
        // What was sent before the new beginning is void, and nobody's fault.
        let stale =
            step.bench.gradient(
                step.auditor, step: 0, node: TreeNode(level: 0, index: 0), generation: step.generation)
            + step.bench.result(step.auditor, step: 0, shard: 0, generation: step.generation)
        #expect(stale.discards.count == 2 && stale.evictions.isEmpty)
    }

    @Test("An auditor that is wrong itself goes")
    func wrongAuditor() throws {
        var step = try AuditedStep()
        _ = step.compute(step.original, step.shard, generation: step.generation, digest: 9)
        var wrong = step.right
        wrong.chunkDigests = [4]
        let dispute = try #require(step.report(wrong).disputes.first)
        #expect(step.settle(dispute, step.right).bans == [step.auditor])
    }

    @Test("A wrong carry or loss is a lie as a wrong gradient is", arguments: [true, false])
    func wrongResult(isLoss: Bool) throws {
        var step = try AuditedStep()
        let node = TreeNode(level: 0, index: Int(step.shard))
        _ = step.bench.gradient(step.original, step: 0, node: node, generation: step.generation, digest: 9)
        let result = NodeResult(generation: step.generation, step: 0, node: node, lossBits: [isLoss ? 1 : 0])
        _ = step.bench.say(step.original, .nodeResult(result), digest: isLoss ? 9 : 4)
        let dispute = try #require(step.report(step.right).disputes.first)
        #expect(step.settle(dispute, step.right).bans == [step.original])
    }

    @Test("A report of another step, generation or model settles nothing")
    func otherReports() throws {
        var step = try AuditedStep()
        _ = step.compute(step.original, step.shard, generation: step.generation, digest: 9)
        _ = step.compute(step.auditor, 1 - step.shard, generation: step.generation, digest: 5)
        for (generation, number) in [(step.generation + 1, UInt64(0)), (step.generation, 1)] {
            let report = AuditReport(generation: generation, step: number, shard: step.shard, answer: step.right)
            let actions = step.bench.say(step.auditor, .audited(report))
            #expect(actions == [.discard(step.auditor, reason: "an audit that nobody waits for")])
        }
        var other = step.right
        other.chunkDigests = [9, 9]
        #expect(step.report(other).evictions == ["sent an audit of another model"])
    }

    @Test("Each step is drawn for anew, as often as was asked, for any shard and another worker than its own")
    func draws() throws {
        var machine = try AuditedStep().bench.machine
        var drawn: [Int] = []
        machine.configuration.auditsPerMillion = 250_000
        for step in UInt64(1)...200 {
            machine.step = step
            machine.clearStep()
            guard machine.openAudit() else { continue }
            let audit = try #require(machine.audit)
            #expect(machine.plan[audit.auditor.worker]?.contains(audit.shard) == false)
            drawn.append(audit.shard)
        }
        #expect((30...70).contains(drawn.count), "\(drawn.count)")
        #expect(Set(drawn) == [0, 1])
    }

    @Test("Three results stop the run")
    func threeResults() throws {
        var step = try AuditedStep()
        _ = step.compute(step.original, step.shard, generation: step.generation, digest: 4)
        var wrong = step.right
        wrong.chunkDigests = [5]
        let dispute = try #require(step.report(wrong).disputes.first)
        let settled = step.settle(dispute, step.right)
        #expect(settled.contains { if case .fail(_, savesState: false) = $0 { true } else { false } })
    }

    @Test("Where the auditor is lost, the coordinator computes in its place", arguments: [9, 4] as [UInt64])
    func lostAuditor(digest: UInt64) throws {
        var step = try AuditedStep()
        _ = step.compute(step.original, step.shard, generation: step.generation, digest: digest)
        let lost = step.bench.machine.lose(step.auditor, "died", now: 0)
        let dispute = try #require(lost.disputes.first)
        #expect(lost.leases.isEmpty)
        let settled = step.settle(dispute, step.right)
        #expect(settled.bans == (digest == 9 ? [] : [step.original]))
        // An honest worker goes on with what the auditor left.
        #expect(settled.leases.map(\.shards) == (digest == 9 ? [[1 - step.shard]] : []))
    }

    @Test("Another session of the worker that sent the shard is no second opinion", arguments: [false, true])
    func sameWorker(isGone: Bool) throws {
        var step = try AuditedStep(name: "w")
        let dispute = try #require(
            step.compute(step.original, step.shard, generation: step.generation, digest: 4).disputes.first)
        if isGone { _ = step.bench.machine.lose(step.original, "died", now: 0) }
        #expect(step.settle(dispute, step.right).bans == [step.original])
        // By its name, whether its session still stood or not.
        #expect(step.bench.join(4, name: "w").contains { if case .refuse(4, _) = $0 { true } else { false } })
    }

    @Test("Where the auditor is late, the coordinator computes in its place")
    func lateAuditor() throws {
        var step = try AuditedStep()
        _ = step.compute(step.original, step.shard, generation: step.generation, digest: 4)
        _ = step.compute(step.auditor, 1 - step.shard, generation: step.generation, digest: 5)
        // The step took 100 ms without it.
        for now: UInt64 in [100, 700, 1150] {
            #expect(step.bench.machine.tick(now: now * 1_000_000).disputes.isEmpty)
        }
        let dispute = try #require(step.bench.machine.tick(now: 1_300_000_000).disputes.first)
        #expect(step.settle(dispute, step.right).bans == [step.original])
    }

    @Test("A late shard that others compute too stays under audit: who sent what is used is known")
    func lateShard() throws {
        var step = try AuditedStep()
        step.bench.now = 10_000_000
        _ = step.compute(step.auditor, 1 - step.shard, generation: step.generation, digest: 5)
        let again = try #require(step.bench.machine.tick(now: 200_000_000).leases.first)
        #expect(again.shards == [step.shard])
        #expect(again.apart == step.shard)
        // The slow one's wrong gradient comes first; the result is the auditor's, whose own word counts for nothing.
        _ = step.bench.gradient(
            step.original, step: 0, node: TreeNode(level: 0, index: Int(step.shard)), generation: step.generation,
            digest: 4)
        let last = step.bench.result(
            step.auditor, step: 0, shard: step.shard, generation: again.generation, digest: 9)
        #expect(last.commits.isEmpty)
        let dispute = try #require(last.disputes.first)
        #expect(step.settle(dispute, step.right).bans == [step.original])
    }

    @Test("What a lost worker sent of the audited shard stays under audit")
    func lostOriginal() throws {
        var step = try AuditedStep()
        _ = step.bench.join(3)
        _ = step.bench.gradient(
            step.original, step: 0, node: TreeNode(level: 0, index: Int(step.shard)), generation: step.generation,
            digest: 4)
        _ = step.compute(step.auditor, 1 - step.shard, generation: step.generation, digest: 5)
        let lease = try #require(step.bench.machine.lose(step.original, "died", now: 0).leases.first)
        let holder = try #require(
            step.bench.machine.readyWorkers.first {
                step.bench.machine.leasedShards(of: $0).contains(Int(step.shard))
            })
        let disputes =
            step.bench.result(holder, step: 0, shard: step.shard, generation: lease.generation, digest: 9).disputes
            + step.report(step.right).disputes
        let dispute = try #require(disputes.first)
        let settled = step.settle(dispute, step.right)
        // It is gone, and is refused when it comes back; what it sent is void.
        #expect(settled.bans == [step.original])
        #expect(settled.contains(.abandonStep))
        #expect(settled.leases.filter { !$0.isAudit }.flatMap(\.shards).sorted() == [0, 1])
    }

    @Test("A gradient that covers the audited shard with others is not asked for")
    func covering() throws {
        var bench = MachineBench(shards: 4, minimum: 2, audits: 1_000_000)
        _ = bench.join(1)
        let lease = try #require(bench.join(2).leases.first { $0.apart != nil })
        let shard = Int(try #require(lease.apart))
        let holder = try #require([1, 2].first { bench.machine.leasedShards(of: $0).contains(shard) })
        #expect(lease.shards.count == 2)
        let pair = TreeNode(level: 1, index: shard / 2)
        let actions = bench.gradient(holder, step: 0, node: pair, generation: lease.generation)
        #expect(actions.evictions == ["sent a gradient that it was not asked for"])
    }
}
