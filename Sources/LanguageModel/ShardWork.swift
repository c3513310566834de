package import Kernels

/// One shard's share of a step.
package struct ShardWork: Sendable {
    package var shard: Int
    /// Row-major, rows of a shard x `T`.
    package var inputs: [UInt32]
    /// In the same form: what follows each of the inputs.
    package var targets: [UInt32]
    /// For each row `[layers][h, c][H]`.
    package var carry: [Float]

    package init(shard: Int, inputs: [UInt32], targets: [UInt32], carry: [Float]) {
        self.shard = shard
        self.inputs = inputs
        self.targets = targets
        self.carry = carry
    }
}

/// What a shard came to in a step, beside its part of the gradient.
package struct ShardOutcome: Sendable, Equatable {
    package var shard: Int
    /// Nats, summed over the shard's tokens: time outside, rows inside.
    package var loss: Double
    /// After the window, in the form of ``ShardWork/carry``.
    package var carry: [Float]
}

/// An aligned subtree of the canonical tree, and where its gradient goes, laid out as the parameters.
package struct GradientNode: Sendable {
    package var shards: Range<Int>
    package var gradient: FloatBuffer

    package init(shards: Range<Int>, gradient: FloatBuffer) {
        self.shards = shards
        self.gradient = gradient
    }
}
