@testable import Coordination

/// A machine with hand-fed workers.
struct MachineBench {
    var machine: CoordinatorMachine
    var sequence: [WorkerID: UInt64] = [:]
    var now: UInt64 = 0

    init(
        shards: Int = 2, minimum: Int = 1, chunks: Int = 1, snapshotParts: Int = 1, steps: UInt64 = 3,
        audits: UInt64 = 0, recovery: Recovery? = nil
    ) {
        var configuration = CoordinatorMachine.Configuration(
            run: 5, shards: shards, chunks: chunks, snapshotParts: snapshotParts, totalSteps: steps, carryPeriod: 3)
        configuration.minimumWorkers = minimum
        configuration.auditsPerMillion = audits
        machine = CoordinatorMachine(configuration, recovery: recovery)
        machine.digested(step: 0, digest: 1)
    }

    mutating func say(_ worker: WorkerID, _ message: Message, digest: UInt64 = 0) -> [CoordinatorAction] {
        sequence[worker, default: 0] += 1
        return machine.received(
            message, Envelope(run: 5, worker: worker, sequence: sequence[worker]!, acknowledged: 0), digest: digest,
            now: now)
    }

    mutating func join(_ worker: WorkerID, digest: UInt64 = 1, name: String? = nil) -> [CoordinatorAction] {
        say(
            worker,
            .hello(
                Hello(run: 0, name: name ?? "w\(worker)", host: "h", process: UInt32(worker), threads: 1, software: "t")
            ))
            + say(worker, .applied(Applied(step: machine.step, digest: digest)))
    }

    mutating func gradient(_ worker: WorkerID, step: UInt64, node: TreeNode, generation: UInt32 = 1, digest: UInt64 = 0)
        -> [CoordinatorAction]
    {
        say(
            worker, .gradient(GradientPart(generation: generation, step: step, node: node, chunk: 0)), digest: digest)
    }

    mutating func result(_ worker: WorkerID, step: UInt64, shard: UInt32, generation: UInt32 = 1, digest: UInt64 = 0)
        -> [CoordinatorAction]
    {
        say(
            worker,
            .nodeResult(
                NodeResult(
                    generation: generation, step: step,
                    node: machine.tree.canonical(TreeNode(level: 0, index: Int(shard))), lossBits: [0])),
            digest: digest)
    }
}

extension CoordinatorMachine {
    func leasedShards(of worker: WorkerID) -> [Int] {
        members[worker].map { $0.grants.flatMap(\.shards).sorted() } ?? []
    }
}

extension [CoordinatorAction] {
    var leases: [Lease] {
        compactMap { if case .send(_, .lease(let lease), _, _) = $0 { lease } else { nil } }
    }
    var evictions: [String] { compactMap { if case .evict(_, let reason) = $0 { reason } else { nil } } }
    var discards: [String] { compactMap { if case .discard(_, let reason) = $0 { reason } else { nil } } }
    var commits: [UInt64] { compactMap { if case .commit(let step) = $0 { step } else { nil } } }
}
