/// The recurrent state of all rows between two steps: `[B][layers][h, c][H]`, after the last committed step and, as
/// results arrive, after the open one.
package struct CarryStore {
    private let shardFloats: Int
    private(set) package var committed: [Float]
    private var next: [Float]

    /// - Parameters:
    ///   - shardFloats: floats of a shard's carry: of its rows, ``ModelShape/carryCount`` each.
    ///   - committed: nil for zeros.
    package init(shards: Int, shardFloats: Int, committed: [Float]? = nil) {
        self.shardFloats = shardFloats
        self.committed = committed ?? Array(repeating: 0, count: shards * shardFloats)
        next = self.committed
    }

    /// A shard's carry after the last committed step: for each of its rows `[layers][h, c][H]`.
    package func shard(_ shard: Int) -> ArraySlice<Float> {
        committed[shard * shardFloats..<(shard + 1) * shardFloats]
    }

    /// Keeps a shard's carry after the open step.
    package mutating func accept(shard: Int, bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == shardFloats * 4)
        next.withUnsafeMutableBytes { target in
            UnsafeMutableRawBufferPointer(rebasing: target[shard * shardFloats * 4..<(shard + 1) * shardFloats * 4])
                .copyMemory(from: bytes)
        }
    }

    /// The open step is committed: every shard has been accepted.
    package mutating func commit() { swap(&committed, &next) }
}
