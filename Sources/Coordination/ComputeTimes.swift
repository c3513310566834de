/// Where the time of a worker's compute thread went since its last update of the replica, in nanoseconds, in the order
/// in which it was spent. A worker's word: for people, and for its share of the shards.
package struct ComputeTimes: Hashable, Sendable {
    /// More than two weeks is no time of a step.
    static let limit: UInt64 = 1 << 50

    package var awaitingLease: UInt64 = 0
    /// With the packing of the weights.
    package var forward: UInt64 = 0
    /// With the weight gradients.
    package var backward: UInt64 = 0
    package var awaitingCommit: UInt64 = 0
    package var update: UInt64 = 0
    /// What each of the worker's threads was at, the first threads of many; each in the order of time, without overlap. The
    /// first thread does the update too.
    package var threads: [[ThreadSpan]] = []

    package init() {}

    package var total: UInt64 { awaitingLease + forward + backward + awaitingCommit + update }
}
