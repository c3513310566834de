/// Where the time of a worker's compute thread went since its last update of the replica, in nanoseconds, in the order
/// in which it was spent. A worker's word: for people, and for its share of the shards.
package struct ComputeTimes: Hashable, Sendable {
    /// No step takes more: 13 days.
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

extension ComputeTimes {
    func encode(into writer: inout ByteWriter) {
        writer.put(awaitingLease)
        writer.put(forward)
        writer.put(backward)
        writer.put(awaitingCommit)
        writer.put(update)
        writer.put(UInt8(threads.count))
        for spans in threads {
            writer.put(UInt8(spans.count))
            for span in spans { span.encode(into: &writer) }
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        awaitingLease = try reader.take()
        forward = try reader.take()
        backward = try reader.take()
        awaitingCommit = try reader.take()
        update = try reader.take()
        guard [awaitingLease, forward, backward, awaitingCommit, update].allSatisfy({ $0 <= Self.limit }) else {
            throw .outOfBounds("times")
        }
        let count: UInt8 = try reader.take()
        guard Int(count) <= ThreadSpan.maximumThreads else { throw .outOfBounds("told threads") }
        for _ in 0..<count { threads.append(try ThreadSpan.list(from: &reader)) }
    }
}
