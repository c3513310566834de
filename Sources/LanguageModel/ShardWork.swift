package import Kernels

/// The fixed numbers of a training step.
package struct EngineGeometry: Sendable, Equatable {
    package var shape: ModelShape
    /// `B`, rows of the global batch.
    package var batch: Int
    /// `T`.
    package var window: Int
    /// `S`; divides the batch.
    package var shards: Int
    /// The probability that an output of a layer is dropped; below 1.
    package var dropout: Double
    /// The seed of the dropout masks.
    package var seed: UInt64

    package init(shape: ModelShape, batch: Int, window: Int, shards: Int, dropout: Double, seed: UInt64) {
        self.shape = shape
        self.batch = batch
        self.window = window
        self.shards = shards
        self.dropout = dropout
        self.seed = seed
    }

    package var rowsPerShard: Int { batch / shards }
}

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
