import Coordination
import Foundation
import Kernels
import LanguageModel

/// The thread of a worker that does the arithmetic: updates and gradients, in the order in which they were asked for.
///
/// The socket's thread posts jobs and hears of results through its inbox, so that it always drains.
final class WorkerCompute: @unchecked Sendable {
    // @unchecked: `jobs` is guarded by `condition`; all else belongs to the compute thread.
    enum Job {
        /// The replica's buffers are filled; they hold `step` steps.
        case install(step: UInt64)
        case apply(Commit, average: FloatBuffer)
        case compute(Lease, LeasePayload.Contents)
        case stop
    }

    enum Event: Sendable {
        case applied(Applied)
        /// These chunks of the nodes' gradients are final.
        case gradients(
            generation: UInt32, step: UInt64, nodes: [(node: TreeNode, gradient: FloatBuffer)], chunks: [Int])
        case result(ShardResult, carry: [Float])
    }

    private let configuration: RunConfiguration
    private let replica: Replica
    private let inbox: Inbox<Event>
    private let faults: FaultPlan
    private let engine: GradientEngine
    private let tree: ReductionTree
    private let condition = NSCondition()
    private var jobs: [Job] = []

    // Of the compute thread.
    private var gradients: BufferPool
    /// The carry after `step` steps, by shard.
    private var carries: [Int: (step: UInt64, values: [Float])] = [:]

    init(
        configuration: RunConfiguration, replica: Replica, threads: Int, inbox: Inbox<Event>, faults: FaultPlan
    ) {
        self.configuration = configuration
        self.replica = replica
        self.inbox = inbox
        self.faults = faults
        engine = GradientEngine(geometry: configuration.geometry, threads: threads)
        tree = ReductionTree(leaves: configuration.shards)
        gradients = BufferPool(count: configuration.layout.count)
        let thread = Thread { [self] in work() }
        thread.name = "compute"
        thread.stackSize = 8 << 20
        thread.start()
    }

    func post(_ job: Job) {
        condition.lock()
        jobs.append(job)
        condition.signal()
        condition.unlock()
    }

    private func work() {
        while true {
            condition.lock()
            while jobs.isEmpty { condition.wait() }
            let job = jobs.removeFirst()
            condition.unlock()
            switch job {
            case .install(let step): inbox.post(.applied(Applied(step: step, digest: replica.digest)))
            case .apply(let commit, let average):
                replica.apply(UpdateScalars(commit), average: average)
                faults.corruptParameters(replica.parameters, step: commit.step)
                inbox.post(.applied(Applied(step: commit.step + 1, digest: replica.digest)))
            case .compute(let lease, let contents): compute(lease, contents)
            case .stop: return
            }
        }
    }

    private func compute(_ lease: Lease, _ contents: LeasePayload.Contents) {
        faults.strike(step: lease.step, phase: .forward)
        let started = ContinuousClock.now
        let shards = lease.shards.map(Int.init)
        let zero = Array(repeating: Float(0), count: configuration.rowsPerShard * configuration.model.carryCount)
        for (shard, values) in zip(lease.carried, contents.carries) { carries[Int(shard)] = (lease.step, values) }
        let work = shards.enumerated().map { index, shard -> ShardWork in
            let held = carries[shard]
            let carry = lease.resetsCarry ? zero : held?.step == lease.step ? held!.values : zero
            return ShardWork(
                shard: shard, inputs: contents.inputs[index], targets: contents.targets[index], carry: carry)
        }
        var nodes: [(node: TreeNode, gradient: FloatBuffer)] = []
        for node in tree.cover(shards) { nodes.append((node, gradients.take())) }
        let layout = replica.chunks
        var lower = layout.floats
        let outcomes = engine.run(
            step: lease.step, parameters: replica.parameters, work: work,
            nodes: nodes.map { GradientNode(shards: tree.shards($0.node)!, gradient: $0.gradient) }
        ) { range in
            faults.strike(step: lease.step, phase: .backward)
            faults.corruptGradient(nodes[0].gradient, range: range, step: lease.step)
            let chunks = layout.completed(from: lower, downTo: range.lowerBound)
            lower = range.lowerBound
            guard !chunks.isEmpty else { return }
            inbox.post(.gradients(generation: lease.generation, step: lease.step, nodes: nodes, chunks: chunks))
        }
        faults.slow(step: lease.step, since: started)
        faults.strike(step: lease.step, phase: .result)
        for outcome in outcomes {
            carries[outcome.shard] = (lease.step + 1, outcome.carry)
            let result = ShardResult(
                generation: lease.generation, step: lease.step, shard: UInt32(outcome.shard),
                lossBits: outcome.loss.bitPattern)
            inbox.post(.result(result, carry: outcome.carry))
        }
    }
}
