// What workers offer and hand over to a coordinator that was started again.

/// A replica that a worker still holds from an earlier session, and what else it could hand over.
package struct Offer: Hashable, Sendable {
    /// The shards whose carry into a step it has.
    package struct Carries: Hashable, Sendable {
        /// The step that the carry leads into.
        package var step: UInt64
        /// Ascending.
        package var shards: [UInt32]

        package init(step: UInt64, shards: [UInt32]) {
            self.step = step
            self.shards = shards
        }
    }
    /// How many steps the replica holds.
    package var step: UInt64
    /// The digests of the parameters and of the optimizer's state.
    package var digest: UInt64
    package var stateDigest: UInt64
    package var carries: [Carries]
    /// The oldest step, counted from 1 as in ``Applied``, whose record it has; every one since is there.
    package var historyFrom: UInt64

    package init(step: UInt64, digest: UInt64, stateDigest: UInt64, carries: [Carries], historyFrom: UInt64) {
        self.step = step
        self.digest = digest
        self.stateDigest = stateDigest
        self.carries = carries
        self.historyFrom = historyFrom
    }
}

extension Offer {
    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(digest)
        writer.put(stateDigest)
        writer.put(historyFrom)
        writer.put(UInt8(carries.count))
        for carry in carries {
            writer.put(carry.step)
            writer.put(list: carry.shards)
        }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            step: try reader.take(), digest: try reader.take(), stateDigest: try reader.take(), carries: [],
            historyFrom: try reader.take())
        let count: UInt8 = try reader.take()
        guard count <= Wire.maximumCarrySteps else { throw .outOfBounds("offered carries") }
        for _ in 0..<count { carries.append(Carries(step: try reader.take(), shards: try reader.takeList())) }
    }
}

/// A coordinator that was started again asks for what a worker offered.
package struct Recall: Hashable, Sendable {
    /// How many steps the state holds that is taken over.
    package var step: UInt64
    /// Send the whole replica, as the parts of a snapshot, and the history.
    package var wantsReplica: Bool
    /// Send these shards' carry into the step.
    package var shards: [UInt32]
    /// The first record that is missing.
    package var historyFrom: UInt64

    package init(step: UInt64, wantsReplica: Bool, shards: [UInt32], historyFrom: UInt64) {
        self.step = step
        self.wantsReplica = wantsReplica
        self.shards = shards
        self.historyFrom = historyFrom
    }
}

extension Recall: WireMessage {
    static let kind: UInt8 = 14
    var message: Message { .recall(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(flag: wantsReplica)
        writer.put(list: shards)
        writer.put(historyFrom)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            step: try reader.take(), wantsReplica: try reader.takeFlag("recall flag"), shards: try reader.takeList(),
            historyFrom: try reader.take())
    }
}

/// A carry that was recalled.
package struct CarryPart: Hashable, Sendable {
    /// The step that it leads into.
    package var step: UInt64
    package var shard: UInt32

    package init(step: UInt64, shard: UInt32) {
        self.step = step
        self.shard = shard
    }
}

extension CarryPart: WireMessage {
    static let kind: UInt8 = 15
    var message: Message { .carry(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(shard)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(step: try reader.take(), shard: try reader.take())
    }
}

/// What a worker keeps of a step, as its line in `metrics.jsonl` has it.
package struct HistoryRecord: Hashable, Sendable {
    /// Steps that the replica held after it.
    package var step: UInt64
    /// The learning rate: the bits of a Double.
    package var learningRateBits: UInt64
    /// The digest of the replica's parameters after the step.
    package var digest: UInt64
    package var facts: StepFacts

    package init(step: UInt64, learningRateBits: UInt64, digest: UInt64, facts: StepFacts) {
        self.step = step
        self.learningRateBits = learningRateBits
        self.digest = digest
        self.facts = facts
    }

    /// Whether the numbers can stand in a file: they come from a peer.
    var isSound: Bool {
        Double(bitPattern: facts.lossBits).isFinite && Double(bitPattern: facts.gradientNormBits).isFinite
            && Double(bitPattern: learningRateBits).isFinite
    }
}

extension HistoryRecord {
    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(learningRateBits)
        writer.put(digest)
        facts.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            step: try reader.take(), learningRateBits: try reader.take(), digest: try reader.take(),
            facts: try StepFacts(from: &reader))
    }
}

struct History: WireMessage {
    static let kind: UInt8 = 16
    var message: Message { .history(records) }
    var records: [HistoryRecord]
}

extension History {
    func encode(into writer: inout ByteWriter) {
        writer.put(UInt32(records.count))
        for record in records { record.encode(into: &writer) }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        records = []
        let count = try reader.takeCount(limit: Wire.maximumHistory, "history")
        for _ in 0..<count { records.append(try HistoryRecord(from: &reader)) }
    }
}
