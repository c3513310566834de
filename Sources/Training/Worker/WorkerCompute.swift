import Coordination
import Foundation
import Kernels
import LanguageModel
import Synchronization

/// The thread of a worker that does the arithmetic: updates, gradients and evaluations, in the order in which they were
/// asked for.
///
/// The socket's thread posts jobs and hears of results through its inbox, so that it always drains. Outlives a session:
/// the replica and what belongs to it can be offered to the next coordinator.
final class WorkerCompute: @unchecked Sendable {
    // @unchecked: `jobs` is guarded by `condition`; all else belongs to the compute thread, or to whoever got an offer,
    // until the next job is posted.
    enum Job {
        /// The replica's buffers are filled; they hold `step` steps. From here on the faults are those, and gradients lie
        /// where the coordinator can read them, or not.
        case install(step: UInt64, FaultPlan, sharesGradients: Bool)
        case apply(Commit, average: FloatBuffer)
        case compute(Lease, LeasePayload.Contents)
        /// With each segment's tokens.
        case evaluate(EvaluationLease, [[UInt32]])
        /// Tell what could be offered. Whatever is posted before it is done first, computations excepted.
        case offer
        case stop
    }

    enum Event: Sendable {
        case applied(Applied)
        /// These chunks of the nodes' gradients are final.
        case gradients(
            generation: UInt32, step: UInt64, nodes: [(node: TreeNode, gradient: FloatBuffer)], chunks: [Int])
        /// The carries of its shards are a part of the buffer.
        case result(NodeResult, carries: FloatBuffer, Range<Int>)
        case audited(AuditReport)
        case evaluated(EvaluationResult)
        /// A lease's shard goes on from a carry that is not here.
        case lacksCarry(shard: Int, step: UInt64)
        /// nil where the replica is not whole.
        case offered(Offer?)
    }

    private let configuration: RunConfiguration
    private let replica: Replica
    private let inbox: Inbox<Event>
    private let engine: GradientEngine
    private let tree: ReductionTree
    private let threads: Int
    private let condition = NSCondition()
    private var jobs: [Job] = []
    /// Set under the lock: nobody waits for the evaluation that is under way.
    private let abandonsEvaluation = Atomic<Bool>(false)

    // What follows belongs to the compute thread.
    private var gradients: BufferPool
    /// Buffers of carries that are on their way: each holds those of all shards of a lease.
    private var carries: BufferPool
    /// Gradients of the open step. Its coordinator may read them until the commit, also where the session ends before.
    private var lent: [FloatBuffer] = []
    private var shelf = CarryShelf()
    /// Steps that the replica holds; nil before it is installed.
    private var step: UInt64?
    private var faults = FaultPlan.none
    private(set) var history: [HistoryRecord] = []
    private var account = ComputeAccount()
    /// For `lockstep bench` only.
    private var phaseLog = PhaseLog()

    init(configuration: RunConfiguration, replica: Replica, threads: Int, inbox: Inbox<Event>) {
        self.configuration = configuration
        self.replica = replica
        self.inbox = inbox
        self.threads = threads
        engine = GradientEngine(geometry: configuration.geometry, threads: threads)
        tree = ReductionTree(leaves: configuration.shards)
        gradients = BufferPool(count: configuration.layout.count)
        carries = BufferPool(count: configuration.shards * configuration.carryFloats)
        let thread = Thread { [self] in work() }
        thread.name = "compute"
        thread.stackSize = 8 << 20
        thread.start()
    }

    func post(_ job: Job) {
        condition.lock()
        switch job {
        // A lease whose step is over, or whose session is, is computed for nobody.
        case .apply, .offer, .stop: dropComputations { _ in true }
        default: break
        }
        if case .evaluate = job {
        } else {
            // Whatever else comes, comes after the evaluation.
            jobs.removeAll { if case .evaluate = $0 { true } else { false } }
            abandonsEvaluation.store(true, ordering: .relaxed)
        }
        jobs.append(job)
        condition.signal()
        condition.unlock()
    }

    /// Takes back leases that have not begun.
    func cancel(before generation: UInt32) {
        condition.lock()
        dropComputations { $0.generation < generation }
        condition.unlock()
    }

    private func dropComputations(where isVoid: (Lease) -> Bool) {
        jobs.removeAll { if case .compute(let lease, _) = $0 { isVoid(lease) } else { false } }
    }

    /// A carry that was offered. Only between an offer and the next job.
    func carry(shard: Int, step: UInt64) -> [Float]? { shelf.values(shard: shard, step: step) }

    private func work() {
        while true {
            condition.lock()
            while jobs.isEmpty { condition.wait() }
            let job = jobs.removeFirst()
            if case .evaluate = job { abandonsEvaluation.store(false, ordering: .relaxed) }
            condition.unlock()
            account.resumed()
            switch job {
            case .install(let step, let faults, let sharesGradients):
                self.step = step
                self.faults = faults
                // A coordinator may still read what the last session lent it.
                gradients = BufferPool(count: configuration.layout.count, isShared: sharesGradients)
                lent = []
                _ = account.updated()
                inbox.post(.applied(Applied(step: step, digest: replica.digest)))
            case .apply(let commit, let average): apply(commit, average)
            case .compute(let lease, let contents): compute(lease, contents)
            case .evaluate(let lease, let tokens): evaluate(lease, tokens)
            case .offer:
                inbox.post(
                    .offered(
                        step.map { step in
                            Offer(
                                step: step, digest: replica.digest, stateDigest: replica.stateDigest,
                                carries: shelf.offer(around: step), historyFrom: history.first?.step ?? step + 1)
                        }))
            case .stop: return
            }
        }
    }

    private func apply(_ commit: Commit, _ average: FloatBuffer) {
        let started = PhaseLog.now
        replica.apply(UpdateScalars(commit), average: average)
        faults.corruptParameters(replica.parameters, step: commit.step)
        step = commit.step + 1
        lent = []
        let digest = replica.digest
        if history.count == Wire.maximumHistory { history.removeFirst() }
        history.append(
            HistoryRecord(
                step: commit.step + 1, learningRateBits: commit.learningRateBits, digest: digest, facts: commit.record))
        inbox.post(.applied(Applied(step: commit.step + 1, digest: digest, times: account.updated())))
        phaseLog?.updated(step: commit.step, since: started)
    }

    private func evaluate(_ lease: EvaluationLease, _ tokens: [[UInt32]]) {
        defer { account.passedOver() }
        faults.strike(step: lease.step, phase: .evaluation)
        let started = ContinuousClock.now
        let losses = Evaluation.losses(
            parameters: replica.parameters, shape: configuration.model, tokens: tokens, window: configuration.window,
            isStateless: configuration.stateless, threads: threads
        ) { abandonsEvaluation.load(ordering: .relaxed) }
        faults.slow(step: lease.step, since: started)
        guard let losses else { return }
        inbox.post(
            .evaluated(
                EvaluationResult(
                    step: lease.step, segments: lease.segments, lossBits: losses.map(\.bitPattern))))
    }

    private func compute(_ lease: Lease, _ contents: LeasePayload.Contents) {
        for (shard, values) in zip(lease.carried, contents.carries) {
            shelf.keep(values, shard: Int(shard), step: lease.step)
        }
        let zero = Array(repeating: Float(0), count: configuration.carryFloats)
        let shards = lease.shards.map(Int.init)
        var entering: [[Float]] = []
        for shard in shards {
            guard let carry = lease.resetsCarry ? zero : shelf.values(shard: shard, step: lease.step) else {
                return inbox.post(.lacksCarry(shard: shard, step: lease.step))
            }
            entering.append(carry)
        }
        account.beganCompute()
        defer { account.endedCompute(engine.phases, engine.threadSpans) }
        faults.strike(step: lease.step, phase: .forward)
        let logStart = PhaseLog.now
        let started = ContinuousClock.now
        let work = shards.enumerated().map { index, shard in
            ShardWork(
                shard: shard, inputs: contents.inputs[index], targets: contents.targets[index], carry: entering[index])
        }
        var nodes: [(node: TreeNode, gradient: FloatBuffer)] = []
        for node in tree.cover(shards, apart: lease.apart.map(Int.init)) { nodes.append((node, gradients.take())) }
        if !lease.isAudit { lent += nodes.map(\.gradient) }
        // In shared memory chunks take no time on the way.
        let progress = Mutex(ChunkProgress(replica.chunks, together: gradients.isShared ? 8 : 1))
        let outcomes = engine.run(
            step: lease.step, parameters: replica.parameters, work: work,
            nodes: nodes.map { GradientNode(shards: tree.shards($0.node)!, gradient: $0.gradient) }
        ) { [nodes, faults] range in
            faults.strike(step: lease.step, phase: .backward)
            faults.corruptGradient(nodes[0].gradient, range: range, step: lease.step)
            let chunks = progress.withLock { $0.complete(range) }
            guard !chunks.isEmpty, !lease.isAudit else { return }
            inbox.post(.gradients(generation: lease.generation, step: lease.step, nodes: nodes, chunks: chunks))
        }
        faults.slow(step: lease.step, since: started)
        faults.strike(step: lease.step, phase: .result)
        if lease.isAudit {
            let answer = ShardAnswer(outcomes[0], gradient: nodes[0].gradient, chunks: replica.chunks)
            inbox.post(
                .audited(
                    AuditReport(
                        generation: lease.generation, step: lease.step, shard: lease.shards[0], answer: answer)))
            return
        }
        let carries = self.carries.take()
        for (index, outcome) in outcomes.enumerated() {
            shelf.keep(outcome.carry, shard: outcome.shard, step: lease.step + 1)
            (carries.base + index * outcome.carry.count).update(from: outcome.carry, count: outcome.carry.count)
        }
        var done = 0
        for node in nodes.flatMap({ tree.parts(of: $0.node, atMost: configuration.shardsPerResult) }) {
            let part = done..<done + tree.shards(node)!.count
            done = part.upperBound
            let result = NodeResult(
                generation: lease.generation, step: lease.step, node: node,
                lossBits: outcomes[part].map(\.loss.bitPattern))
            let each = configuration.carryFloats
            inbox.post(.result(result, carries: carries, part.lowerBound * each..<part.upperBound * each))
        }
        phaseLog?.computed(step: lease.step, since: logStart, engine.phases)
    }
}
