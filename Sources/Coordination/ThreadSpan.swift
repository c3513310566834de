/// What a compute thread of a worker was at for a while. As ``ComputeTimes`` are: a worker's word, for people.
package struct ThreadSpan: Hashable, Sendable {
    package enum Phase: UInt8, Sendable {
        case pack, forward, backward, weightGradients, update
    }

    /// Threads of a worker, and spans of a thread, that are told of at most.
    package static let maximumThreads = 128
    package static let maximumCount = 64

    package var phase: Phase
    /// Microseconds from its beginning to the end of the replica's update, which ends the step for its worker.
    package var beforeEnd: UInt32
    /// Microseconds; at most `beforeEnd`.
    package var length: UInt32

    package init(phase: Phase, beforeEnd: UInt32, length: UInt32) {
        self.phase = phase
        self.beforeEnd = beforeEnd
        self.length = length
    }
}
