// What workers are given to compute in a step, and what comes of it.

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

extension Lease: WireMessage {
    static let kind: UInt8 = 5
    var message: Message { .lease(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(generation)
        writer.put(step)
        writer.put(UInt8((resetsCarry ? 1 : 0) | (isAudit ? 2 : 0)))
        writer.put(apart ?? UInt32.max)
        writer.put(list: shards)
        writer.put(list: carried)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let generation: UInt32 = try reader.take()
        let step: UInt64 = try reader.take()
        let flags: UInt8 = try reader.take()
        guard flags <= 3 else { throw .outOfBounds("lease flags") }
        let apart: UInt32 = try reader.take()
        let shards = try reader.takeList()
        let carried = try reader.takeList()
        guard Set(carried).isSubset(of: shards), !shards.isEmpty else { throw .outOfBounds("carried shards") }
        guard apart == .max || shards.contains(apart) else { throw .outOfBounds("shard apart") }
        let isAudit = flags & 2 != 0
        guard !isAudit || shards.count == 1 else { throw .outOfBounds("audited shards") }
        self.init(
            generation: generation, step: step, shards: shards, carried: carried, resetsCarry: flags & 1 != 0,
            apart: apart == .max ? nil : apart, isAudit: isAudit)
    }
}

/// One chunk of the sum of gradients over the shards of a tree node.
package struct GradientPart: Hashable, Sendable {
    /// The generation of the lease.
    package var generation: UInt32
    /// The step of the lease.
    package var step: UInt64
    package var node: TreeNode
    /// Chunks are final from the last one, the output layer's, down to 0.
    package var chunk: UInt32
    /// Where the node's whole gradient lies, and stays as it is until the step is committed or begins anew; nil where the
    /// message carries the chunk.
    package var memory: SharedPlace?

    package init(generation: UInt32, step: UInt64, node: TreeNode, chunk: UInt32, memory: SharedPlace? = nil) {
        self.generation = generation
        self.step = step
        self.node = node
        self.chunk = chunk
        self.memory = memory
    }
}

extension GradientPart: WireMessage {
    static let kind: UInt8 = 6
    var message: Message { .gradient(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(generation)
        writer.put(step)
        writer.put(node: node)
        writer.put(chunk)
        writer.put(place: memory)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let generation: UInt32 = try reader.take()
        let step: UInt64 = try reader.take()
        self.init(
            generation: generation, step: step, node: try reader.takeNode(),
            chunk: try reader.take(), memory: try reader.takePlace("memory"))
    }
}

extension ByteWriter {
    mutating func put(node: TreeNode) {
        put(UInt8(node.level))
        put(UInt32(node.index))
    }
}

extension ByteReader {
    mutating func takeNode() throws(WireError) -> TreeNode {
        let level: UInt8 = try take()
        let index: UInt32 = try take()
        guard level <= 12, index < UInt32(Wire.maximumShards) else { throw .outOfBounds("tree node") }
        return TreeNode(level: Int(level), index: Int(index))
    }
}

/// The shards under a tree node are done: it comes after all chunks of their gradient.
package struct NodeResult: Hashable, Sendable {
    /// The generation of the lease.
    package var generation: UInt32
    /// The step of the lease.
    package var step: UInt64
    package var node: TreeNode
    /// For each shard, in ascending order, its sum of losses in nats: bits of Doubles, passed on and never computed with
    /// here.
    package var lossBits: [UInt64]

    package init(generation: UInt32, step: UInt64, node: TreeNode, lossBits: [UInt64]) {
        self.generation = generation
        self.step = step
        self.node = node
        self.lossBits = lossBits
    }
}

extension NodeResult: WireMessage {
    static let kind: UInt8 = 7
    var message: Message { .nodeResult(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(generation)
        writer.put(step)
        writer.put(node: node)
        writer.put(UInt16(lossBits.count))
        for bits in lossBits { writer.put(bits) }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(generation: try reader.take(), step: try reader.take(), node: try reader.takeNode(), lossBits: [])
        let count: UInt16 = try reader.take()
        guard count >= 1, Int(count) <= Wire.maximumShards else { throw .outOfBounds("losses") }
        for _ in 0..<count { lossBits.append(try reader.take()) }
    }
}

/// One chunk of the gradient at the tree's root: the mean over the batch, since each shard's loss is scaled where it arises.
package struct AveragePart: Hashable, Sendable {
    /// The open step.
    package var step: UInt64
    package var chunk: UInt32
    /// Where the whole average lies, and stays as it is until the worker has said that it is applied; nil where the
    /// message carries the chunk.
    package var memory: SharedPlace?

    package init(step: UInt64, chunk: UInt32, memory: SharedPlace? = nil) {
        self.step = step
        self.chunk = chunk
        self.memory = memory
    }
}

extension AveragePart: WireMessage {
    static let kind: UInt8 = 8
    var message: Message { .average(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(chunk)
        writer.put(place: memory)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(step: try reader.take(), chunk: try reader.take(), memory: try reader.takePlace("memory"))
    }
}
