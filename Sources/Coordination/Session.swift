/// One direction-pair of an ordered conversation: sequence numbers, acknowledgements, and the credits that keep a slow
/// reader from growing the sender's queue in the transport.
///
/// The transport keeps order but may lose what was in flight when a connection breaks. A gap ends the session; the
/// worker then joins anew. Nothing is ever sent twice.
package struct Session<Item: Hashable & Sendable>: Hashable, Sendable {
    /// What a message's place says: a gap, that one was lost on the way.
    package enum Arrival: Equatable, Sendable { case inOrder, duplicate, gap }

    /// How many messages may be under way without an acknowledgement.
    package let credits: UInt64
    /// The sequence of the last message out.
    package private(set) var sent: UInt64 = 0
    private var acknowledgedByPeer: UInt64 = 0
    private var received: UInt64 = 0
    private var acknowledgedToPeer: UInt64 = 0
    /// Waiting for credits, in order.
    package private(set) var outbox: [Item] = []

    package init(credits: UInt64) { self.credits = credits }

    /// Puts an item behind those that wait. It leaves when ``releasable()`` gives it out.
    package mutating func enqueue(_ item: Item) { outbox.append(item) }

    /// Takes back what has not left yet.
    package mutating func withdraw(where isVoid: (Item) -> Bool) { outbox.removeAll(where: isVoid) }

    /// The items that credits allow to leave now, in order. The caller stamps each with ``stamp()``.
    package mutating func releasable() -> [Item] {
        let left = credits - min(credits, sent - acknowledgedByPeer)
        let count = min(Int(left), outbox.count)
        defer { outbox.removeFirst(count) }
        return Array(outbox.prefix(count))
    }

    /// The sequence and acknowledgement of the next message out. Heartbeats are stamped without credits, since they
    /// bring the other side its own.
    package mutating func stamp() -> (sequence: UInt64, acknowledged: UInt64) {
        sent += 1
        acknowledgedToPeer = received
        return (sent, received)
    }

    /// Judges a message by its place. An acknowledgement of something that was never sent is a gap too.
    package mutating func receive(sequence: UInt64, acknowledged: UInt64) -> Arrival {
        if sequence <= received { return .duplicate }
        guard sequence == received + 1, acknowledged <= sent else { return .gap }
        received = sequence
        acknowledgedByPeer = max(acknowledgedByPeer, acknowledged)
        return .inOrder
    }

    /// Whether the other side may soon stand still for want of credits.
    package var owesAcknowledgement: Bool { received - acknowledgedToPeer >= credits / 4 }
}
