// What one worker computed is computed by another too.

/// One shard's work done by a second worker: digests to compare, in place of the values.
package struct AuditReport: Hashable, Sendable {
    /// The generation of the lease.
    package var generation: UInt32
    /// The step of the lease.
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

extension AuditReport: WireMessage {
    static let kind: UInt8 = 17
    var message: Message { .audited(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(generation)
        writer.put(step)
        writer.put(shard)
        answer.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            generation: try reader.take(), step: try reader.take(), shard: try reader.take(),
            answer: try ShardAnswer(from: &reader))
    }
}

/// What a shard's computation comes to: equal for two workers exactly when, up to chance, all bits are.
package struct ShardAnswer: Hashable, Sendable {
    /// As in ``NodeResult``.
    package var lossBits: UInt64
    /// The digest of the carry after the window.
    package var carryDigest: UInt64
    /// The digests of the gradient's chunks, in order.
    package var chunkDigests: [UInt64]

    package init(lossBits: UInt64, carryDigest: UInt64, chunkDigests: [UInt64]) {
        self.lossBits = lossBits
        self.carryDigest = carryDigest
        self.chunkDigests = chunkDigests
    }
}

extension ShardAnswer {
    func encode(into writer: inout ByteWriter) {
        writer.put(lossBits)
        writer.put(carryDigest)
        writer.put(UInt32(chunkDigests.count))
        for digest in chunkDigests { writer.put(digest) }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(lossBits: try reader.take(), carryDigest: try reader.take(), chunkDigests: [])
        let count = try reader.takeCount(limit: Wire.maximumChunks, "chunk digests")
        for _ in 0..<count { chunkDigests.append(try reader.take()) }
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

extension Restart: WireMessage {
    static let kind: UInt8 = 18
    var message: Message { .restart(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(generation)
        writer.put(step)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(generation: try reader.take(), step: try reader.take())
    }
}
