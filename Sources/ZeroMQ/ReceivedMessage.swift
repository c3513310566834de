import CZeroMQ
import Glibc

/// A message as it came: who sent it, and its parts in ZeroMQ's memory, to be read in place.
package struct ReceivedMessage: ~Copyable {
    /// The sender, on a router; empty on other sockets.
    package let routingID: [UInt8]
    /// How many parts came, without the routing id. It exceeds the bound that `receive` was given where the peer sent
    /// more: those beyond it were read and dropped, and the message is to be refused.
    package let partCount: Int
    private let frames: UnsafeMutablePointer<zmq_msg_t>
    /// Parts that were kept.
    private let keptCount: Int

    /// - Parameter frames: `keptCount` messages, allocated; this takes them over.
    init(routingID: [UInt8], partCount: Int, frames: UnsafeMutablePointer<zmq_msg_t>, keptCount: Int) {
        self.routingID = routingID
        self.partCount = partCount
        self.frames = frames
        self.keptCount = keptCount
    }

    deinit {
        for index in 0..<keptCount { zmq_msg_close(frames + index) }
        frames.deallocate()
    }

    /// The length of a part that was kept.
    package func byteCount(_ part: Int) -> Int {
        precondition(part >= 0 && part < keptCount, "there is no part \(part)")
        return zmq_msg_size(frames + part)
    }

    /// The bytes of a part where they lie; not to be kept beyond the call.
    package func withBytes<Result, Failure: Error>(
        _ part: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let count = byteCount(part)
        return try body(UnsafeRawBufferPointer(start: zmq_msg_data(frames + part), count: count))
    }

    /// The CURVE key of the client that sent the message, where a ``CurveAllowlist`` let it in.
    package var sender: CurveKey? {
        guard keptCount > 0, let text = zmq_msg_gets(frames, "User-Id") else { return nil }
        return try? CurveKey(z85: String(cString: text))
    }

    /// The numeric address of the peer's host, where the message came over TCP.
    package var peerAddress: String? {
        guard keptCount > 0, let text = zmq_msg_gets(frames, "Peer-Address") else { return nil }
        let address = String(cString: text)
        // Over IPC libzmq gives a name with the user, group and process behind it.
        var bytes = in6_addr()
        let number = String(address.prefix { $0 != "%" })
        let isNumeric = [AF_INET, AF_INET6].contains { inet_pton($0, number, &bytes) == 1 }
        return isNumeric ? address : nil
    }

    /// A copy of a part: for small ones.
    package func bytes(_ part: Int) -> [UInt8] { withBytes(part) { Array($0) } }
}
