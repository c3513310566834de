/// A worker process's incarnation: random, fresh at each (re)join, never zero. It is its routing id too.
package typealias WorkerID = UInt64

/// What the two sides say to each other. Bulk values (floats, tokens) travel in a second frame, the payload.
///
/// ```
/// worker                              coordinator
///   | -- hello ------------------------> |      version, run, name, threads
///   | <------------------------ welcome -- |    run, configuration
///   | <---------------- snapshot 0..n-1 -- |    parameters and optimizer state after step s-1
///   | <--------------- lease(s, shards) -- |    tokens, and carry where it is new to the worker
///   | -- gradient(s, node, chunk) -----> |      as layers finish
///   | <--------------- average(s, chunk) -- |   as chunks are complete, while others still compute
///   | -- shardResult(s, shard) --------> |      loss and carry
///   | <----------- commit(s, scalars) --- |     every replica applies the update
///   | -- applied(s, digest) -----------> |
///   | <--------------------- finish ----- |
/// ```
package enum Message: Equatable, Sendable {
    case hello(Hello)
    case welcome(Welcome)
    case refuse(Refusal)
    /// Payload: the floats of this part.
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
}

package struct Hello: Equatable, Sendable {
    /// The run that the worker last served; 0 for any.
    package var run: UInt64
    package var name: String
    package var host: String
    package var process: UInt32
    package var threads: UInt32
    package var software: String

    package init(run: UInt64, name: String, host: String, process: UInt32, threads: UInt32, software: String) {
        self.run = run
        self.name = name
        self.host = host
        self.process = process
        self.threads = threads
        self.software = software
    }
}

package struct Welcome: Equatable, Sendable {
    package var run: UInt64
    /// How many steps the snapshot holds, so the first step that the worker may be leased.
    package var step: UInt64
    package var snapshotParts: UInt32
    /// The run's configuration, JSON.
    package var configuration: [UInt8]

    package init(run: UInt64, step: UInt64, snapshotParts: UInt32, configuration: [UInt8]) {
        self.run = run
        self.step = step
        self.snapshotParts = snapshotParts
        self.configuration = configuration
    }
}

package struct Refusal: Equatable, Sendable {
    package enum Code: UInt8, Sendable, CaseIterable {
        case version = 1
        case otherRun = 2
        /// The session broke (silence, a lost message): joining anew mends it.
        case sessionBroken = 3
        /// The replica differs from the coordinator's: the worker ends, and its cause is for a person to find.
        case replicaDiffers = 4
        case protocolViolation = 5
        case full = 6
    }
    package var code: Code
    package var reason: String

    package init(code: Code, reason: String) {
        self.code = code
        self.reason = reason
    }
}

package struct SnapshotPart: Equatable, Sendable {
    package var step: UInt64
    package var part: UInt32

    package init(step: UInt64, part: UInt32) {
        self.step = step
        self.part = part
    }
}

/// Work for one step. The payload holds, for each shard in order, rows x (window + 1) tokens as UInt32 (the targets are
/// the inputs shifted by one), then for each shard of `carried` its carry as Float.
package struct Lease: Equatable, Sendable {
    package var generation: UInt32
    package var step: UInt64
    /// Ascending.
    package var shards: [UInt32]
    /// The shards whose carry is in the payload; the worker holds that of the others.
    package var carried: [UInt32]
    /// The carry is zero for all shards: the first window of an epoch, or a stateless run.
    package var resetsCarry: Bool

    package init(generation: UInt32, step: UInt64, shards: [UInt32], carried: [UInt32], resetsCarry: Bool) {
        self.generation = generation
        self.step = step
        self.shards = shards
        self.carried = carried
        self.resetsCarry = resetsCarry
    }
}

package struct GradientPart: Equatable, Sendable {
    package var generation: UInt32
    package var step: UInt64
    package var node: TreeNode
    package var chunk: UInt32

    package init(generation: UInt32, step: UInt64, node: TreeNode, chunk: UInt32) {
        self.generation = generation
        self.step = step
        self.node = node
        self.chunk = chunk
    }
}

package struct ShardResult: Equatable, Sendable {
    package var generation: UInt32
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

package struct AveragePart: Equatable, Sendable {
    package var step: UInt64
    package var chunk: UInt32

    package init(step: UInt64, chunk: UInt32) {
        self.step = step
        self.chunk = chunk
    }
}

/// The word that a step is complete, with the scalars of the update as bits of Doubles.
package struct Commit: Equatable, Sendable {
    package var step: UInt64
    package var learningRateBits: UInt64
    package var clipCoefficientBits: UInt64
    package var biasCorrection1Bits: UInt64
    package var biasCorrection2Bits: UInt64

    package init(
        step: UInt64, learningRateBits: UInt64, clipCoefficientBits: UInt64, biasCorrection1Bits: UInt64,
        biasCorrection2Bits: UInt64
    ) {
        self.step = step
        self.learningRateBits = learningRateBits
        self.clipCoefficientBits = clipCoefficientBits
        self.biasCorrection1Bits = biasCorrection1Bits
        self.biasCorrection2Bits = biasCorrection2Bits
    }
}

package struct Applied: Equatable, Sendable {
    /// How many steps the replica holds.
    package var step: UInt64
    /// Of the replica's parameters after those steps.
    package var digest: UInt64

    package init(step: UInt64, digest: UInt64) {
        self.step = step
        self.digest = digest
    }
}
