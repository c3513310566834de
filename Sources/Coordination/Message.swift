/// A worker process's incarnation: random, fresh at each (re)join, never zero. It is its routing id too.
package typealias WorkerID = UInt64

/// What the two sides say to each other. Bulk values (floats, tokens) travel in a second frame, the payload.
///
/// ```
/// worker                              coordinator
///   | -- hello(offer) ------------------> |     name, threads, and the replica it still holds, if any
///   | <------------------------- recall -- |    after a restart: hand over what was offered
///   | -- snapshot, carry, history -------> |
///   | <------------------------ welcome -- |    run, term, configuration
///   | <---------------- snapshot 0..n-1 -- |    parameters and optimizer state; none where the offer stands
///   | -- applied(s, digest) ------------> |     the replica stands
///   | <--------------- lease(s, shards) -- |    tokens, and carry where it is new to the worker
///   | -- gradient(s, node, chunk) -----> |      as layers finish
///   | <--------------- average(s, chunk) -- |   as chunks are complete, while others still compute
///   | -- shardResult(s, shard) --------> |      loss and carry
///   | <---------------------- restart(s) -- |   somebody lied: what was sent for this step is void
///   | <----------- commit(s, scalars) --- |     every replica applies the update
///   | -- applied(s + 1, digest) -------> |
///   | <--- evaluate(s + 1, segments) --- |      where it is due, before the next lease
///   | -- evaluated(s + 1, losses) -----> |
///   | <--------------------- finish ----- |
///
/// anyone
///   | -- statusRequest ----------------> |
///   | <--------------------- status ----- |     a snapshot of the run
/// ```
package enum Message: Hashable, Sendable {
    case hello(Hello)
    case welcome(Welcome)
    case refuse(Refusal)
    /// Payload: the floats of this part. To a worker that joins, and from one whose replica is recalled.
    case snapshot(SnapshotPart)
    /// Payload: tokens, then carries; see ``Lease``.
    case lease(Lease)
    /// Payload: the floats of the chunk.
    case gradient(GradientPart)
    /// Payload: the shard's carry after the window.
    case shardResult(ShardResult)
    /// Payload: the floats of the chunk.
    case average(AveragePart)
    case commit(Commit)
    case applied(Applied)
    case heartbeat
    case goodbye
    case finish
    case recall(Recall)
    /// Payload: the shard's carry into the step.
    case carry(CarryPart)
    case history([HistoryRecord])
    case audited(AuditReport)
    case restart(Restart)
    /// Payload: the segments' tokens; see ``EvaluationLease``.
    case evaluate(EvaluationLease)
    case evaluated(EvaluationResult)
    case statusRequest
    /// A ``RunSnapshot``, JSON.
    case status([UInt8])
}

/// A worker's greeting, the first message of its session.
package struct Hello: Hashable, Sendable {
    /// The run that the worker last served; 0 for any.
    package var run: UInt64
    /// The worker's, for people; with `host` it is what a ban is tied to.
    package var name: String
    package var host: String
    /// The process's id on its host: a process has one session.
    package var process: UInt32
    /// That compute, at least 1.
    package var threads: UInt32
    /// The program's version, for people.
    package var software: String
    /// The newest term of a coordinator that this worker has served; 0 for none.
    package var term: UInt64
    package var offer: Offer?

    package init(
        run: UInt64, name: String, host: String, process: UInt32, threads: UInt32, software: String, term: UInt64 = 0,
        offer: Offer? = nil
    ) {
        self.run = run
        self.term = term
        self.offer = offer
        self.name = name
        self.host = host
        self.process = process
        self.threads = threads
        self.software = software
    }
}

/// The coordinator lets a worker in.
package struct Welcome: Hashable, Sendable {
    package var run: UInt64
    /// Which start of the run's coordinator speaks: higher for a later one, so that an older one is known as such.
    package var term: UInt64
    /// How many steps the snapshot holds, so the first step that the worker may be leased.
    package var step: UInt64
    /// 0: the replica that the worker offered stands.
    package var snapshotParts: UInt32
    /// How often either side says something, in nanoseconds.
    package var heartbeatInterval: UInt64
    /// Nanoseconds of silence after which the other side is held to be lost.
    package var silenceLimit: UInt64
    /// The run's configuration, JSON.
    package var configuration: [UInt8]
    /// That the worker is to inject into itself, for tests. Their text means nothing here.
    package var faults: String

    package init(
        run: UInt64, term: UInt64, step: UInt64, snapshotParts: UInt32, heartbeatInterval: UInt64,
        silenceLimit: UInt64, configuration: [UInt8], faults: String = ""
    ) {
        self.run = run
        self.term = term
        self.step = step
        self.snapshotParts = snapshotParts
        self.heartbeatInterval = heartbeatInterval
        self.silenceLimit = silenceLimit
        self.configuration = configuration
        self.faults = faults
    }
}

/// A session ends, or is not begun. All but `sessionBroken` end the worker's process.
package struct Refusal: Hashable, Sendable {
    package enum Code: UInt8, Sendable, CaseIterable {
        /// The peers speak different versions of the protocol.
        case version = 1
        /// This coordinator serves another run, or is no longer its run's.
        case otherRun = 2
        /// The session broke (silence, a lost message): joining anew mends it.
        case sessionBroken = 3
        /// The replica differs from the coordinator's: the worker ends, and its cause is for a person to find.
        case replicaDiffers = 4
        /// A message made no sense.
        case protocolViolation = 5
        /// As many workers are connected as may be.
        case full = 6
        /// Its replica or its gradients were wrong before: it is not let in again.
        case banned = 7
    }
    package var code: Code
    /// For people: what happened, and what to do.
    package var reason: String

    package init(code: Code, reason: String) {
        self.code = code
        self.reason = reason
    }
}

/// A chunk of the parameters, or of one of the optimizer's slots, which follow them.
package struct SnapshotPart: Hashable, Sendable {
    /// How many steps the snapshot holds.
    package var step: UInt64
    /// From 0, without a hole.
    package var part: UInt32

    package init(step: UInt64, part: UInt32) {
        self.step = step
        self.part = part
    }
}

/// Work for one step. The payload holds, for each shard in order, rows x (window + 1) tokens as UInt32 (the targets are
/// the inputs shifted by one), then for each shard of `carried` its carry as Float.
package struct Lease: Hashable, Sendable {
    /// The membership's, which comes back with the results: they are fenced by it.
    package var generation: UInt32
    /// The open step: how many are committed.
    package var step: UInt64
    /// Ascending.
    package var shards: [UInt32]
    /// The shards whose carry is in the payload; the worker holds that of the others.
    package var carried: [UInt32]
    /// The carry is zero for all shards: the first window of an epoch, or a stateless run.
    package var resetsCarry: Bool
    /// A shard whose gradient is sent by itself, not summed with its neighbours': it is compared with another's.
    package var apart: UInt32?
    /// The work is done a second time, for comparison: answer with an ``AuditReport`` alone.
    package var isAudit: Bool

    package init(
        generation: UInt32, step: UInt64, shards: [UInt32], carried: [UInt32], resetsCarry: Bool,
        apart: UInt32? = nil, isAudit: Bool = false
    ) {
        self.generation = generation
        self.step = step
        self.shards = shards
        self.carried = carried
        self.resetsCarry = resetsCarry
        self.apart = apart
        self.isAudit = isAudit
    }
}

/// One chunk of the sum of gradients over the shards of a tree node.
package struct GradientPart: Hashable, Sendable {
    /// Of the lease.
    package var generation: UInt32
    /// Of the lease.
    package var step: UInt64
    package var node: TreeNode
    /// Chunks are final from the last one, the output layer's, down to 0.
    package var chunk: UInt32

    package init(generation: UInt32, step: UInt64, node: TreeNode, chunk: UInt32) {
        self.generation = generation
        self.step = step
        self.node = node
        self.chunk = chunk
    }
}

/// A shard is done: it comes after all chunks of its gradient.
package struct ShardResult: Hashable, Sendable {
    /// Of the lease.
    package var generation: UInt32
    /// Of the lease.
    package var step: UInt64
    package var shard: UInt32
    /// The shard's sum of losses in nats: the bits of a Double, passed on and never computed with here.
    package var lossBits: UInt64

    package init(generation: UInt32, step: UInt64, shard: UInt32, lossBits: UInt64) {
        self.generation = generation
        self.step = step
        self.shard = shard
        self.lossBits = lossBits
    }
}

/// One chunk of the gradient at the tree's root: the mean over the batch, since each shard's loss is scaled where it arises.
package struct AveragePart: Hashable, Sendable {
    /// The open step.
    package var step: UInt64
    package var chunk: UInt32

    package init(step: UInt64, chunk: UInt32) {
        self.step = step
        self.chunk = chunk
    }
}

/// The word that a step is complete, with the scalars of the update as bits of Doubles, and what is on record of it.
package struct Commit: Hashable, Sendable {
    /// The step that was open; afterwards one more is committed.
    package var step: UInt64
    package var learningRateBits: UInt64
    package var clipCoefficientBits: UInt64
    package var biasCorrection1Bits: UInt64
    package var biasCorrection2Bits: UInt64
    package var record: StepFacts

    package init(
        step: UInt64, learningRateBits: UInt64, clipCoefficientBits: UInt64, biasCorrection1Bits: UInt64,
        biasCorrection2Bits: UInt64, record: StepFacts
    ) {
        self.step = step
        self.learningRateBits = learningRateBits
        self.clipCoefficientBits = clipCoefficientBits
        self.biasCorrection1Bits = biasCorrection1Bits
        self.biasCorrection2Bits = biasCorrection2Bits
        self.record = record
    }
}

/// What the workers keep of a step, so that a coordinator that lost its last lines can write them again.
package struct StepFacts: Hashable, Sendable {
    /// Bits of Doubles: nats a character, and the norm before clipping.
    package var lossBits: UInt64
    package var gradientNormBits: UInt64
    /// How long the step took, at least 1.
    package var nanoseconds: UInt64
    /// That were ready at the commit.
    package var workers: UInt32

    package init(lossBits: UInt64, gradientNormBits: UInt64, nanoseconds: UInt64, workers: UInt32) {
        self.lossBits = lossBits
        self.gradientNormBits = gradientNormBits
        self.nanoseconds = nanoseconds
        self.workers = workers
    }
}

/// A replica stands after so many steps: a worker is ready with its first, and tells of each update.
package struct Applied: Hashable, Sendable {
    /// How many steps the replica holds.
    package var step: UInt64
    /// Of the replica's parameters after those steps.
    package var digest: UInt64
    /// How the worker spent the last of them.
    package var times: ComputeTimes

    package init(step: UInt64, digest: UInt64, times: ComputeTimes = ComputeTimes()) {
        self.step = step
        self.digest = digest
        self.times = times
    }
}

/// One shard's work done by a second worker: digests to compare, in place of the values.
package struct AuditReport: Hashable, Sendable {
    /// Of the lease.
    package var generation: UInt32
    /// Of the lease.
    package var step: UInt64
    package var shard: UInt32
    package var answer: ShardAnswer

    package init(generation: UInt32, step: UInt64, shard: UInt32, answer: ShardAnswer) {
        self.generation = generation
        self.step = step
        self.shard = shard
        self.answer = answer
    }
}

/// What a shard's computation comes to: equal for two workers exactly when, up to chance, all bits are.
package struct ShardAnswer: Hashable, Sendable {
    /// As in ``ShardResult``.
    package var lossBits: UInt64
    /// Of the carry after the window.
    package var carryDigest: UInt64
    /// Of the gradient's chunks, in order.
    package var chunkDigests: [UInt64]

    package init(lossBits: UInt64, carryDigest: UInt64, chunkDigests: [UInt64]) {
        self.lossBits = lossBits
        self.carryDigest = carryDigest
        self.chunkDigests = chunkDigests
    }
}

/// Segments of the held-out text to run forward, on the replica that holds `step` steps. The payload holds, for each in
/// order, its tokens and the one after them as UInt32; all have the same length.
package struct EvaluationLease: Hashable, Sendable {
    /// How many steps are committed.
    package var step: UInt64
    /// Ascending.
    package var segments: [UInt32]

    package init(step: UInt64, segments: [UInt32]) {
        self.step = step
        self.segments = segments
    }
}

/// The answer to an ``EvaluationLease``.
package struct EvaluationResult: Hashable, Sendable {
    /// Of the lease.
    package var step: UInt64
    /// Those of a lease.
    package var segments: [UInt32]
    /// Of each segment the sum of losses in nats: the bits of a Double, passed on and never computed with here.
    package var lossBits: [UInt64]

    package init(step: UInt64, segments: [UInt32], lossBits: [UInt64]) {
        self.step = step
        self.segments = segments
        self.lossBits = lossBits
    }
}

/// The open step begins again: averages of it are void, and so is all that was leased before this generation.
package struct Restart: Hashable, Sendable {
    /// The first whose leases count.
    package var generation: UInt32
    /// The open step.
    package var step: UInt64

    package init(generation: UInt32, step: UInt64) {
        self.generation = generation
        self.step = step
    }
}
