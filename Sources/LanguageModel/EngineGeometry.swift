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
