import Kernels
import ZeroMQ

extension Socket {
    /// The largest frame that a coordinator takes in: a decoder allocates what a peer declares. The carry of a shard is
    /// the largest that it asks for.
    static let maximumFrame = 4 << 20
    /// The largest frame that a worker takes in: a lease with the carries of all shards.
    static let maximumLease = 1 << 30
    /// A backstop above what credits let through: messages queued for a peer that acknowledges what it never reads.
    static let sendHighWaterMark = 256
    /// Messages read ahead of a peer that floods; the others' are not held up.
    static let receiveHighWaterMark = 64

    /// What both sides set before they bind or connect.
    func prepare(maximumFrame: Int) throws(ZeroMQError) {
        try set(.maximumMessageSize(maximumFrame))
        try set(.sendHighWaterMark(Self.sendHighWaterMark))
        try set(.receiveHighWaterMark(Self.receiveHighWaterMark))
    }

    /// - Parameter route: the peer's routing id, for a router.
    func send(to route: [UInt8]? = nil, control: [UInt8], bytes: [UInt8]? = nil) throws(ZeroMQError) -> SendOutcome {
        try send([route, control, bytes].compactMap { $0 })
    }

    /// Sends a part of a float buffer behind the control frame, without a copy: nobody may write to it until the
    /// transport holds the buffer no more.
    func send(
        to route: [UInt8]? = nil, control: [UInt8], payload: FloatBuffer, range: Range<Int>
    ) throws(ZeroMQError) -> SendOutcome {
        try send(
            [route, control].compactMap { $0 }, payload: try Frame(reading: payload.bytes(range), keeping: payload))
    }
}
