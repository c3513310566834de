import Kernels
import ZeroMQ

extension Socket {
    /// The largest frame that is taken in: a decoder allocates what a peer declares.
    static let maximumFrame = 4 << 20
    /// A backstop far above what credits let through.
    static let highWaterMark = 2000

    /// What both sides set before they bind or connect.
    func prepare() throws(ZeroMQError) {
        try set(.maximumMessageSize(Self.maximumFrame))
        try set(.sendHighWaterMark(Self.highWaterMark))
        try set(.receiveHighWaterMark(Self.highWaterMark))
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
        let bytes = UnsafeRawBufferPointer(rebasing: payload.bytes[range.lowerBound * 4..<range.upperBound * 4])
        return try send([route, control].compactMap { $0 }, payload: try Frame(reading: bytes, keeping: payload))
    }
}
