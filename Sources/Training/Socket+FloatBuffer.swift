import Kernels
import ZeroMQ

extension Socket {
    /// Sends a part of a float buffer behind the control frame, without a copy: nobody may write to it until the buffer
    /// is no longer held by the transport.
    borrowing func send(
        to route: [UInt8]? = nil, control: [UInt8], payload: FloatBuffer, range: Range<Int>
    ) throws(ZeroMQError) -> SendOutcome {
        let bytes = UnsafeRawBufferPointer(rebasing: payload.bytes[range.lowerBound * 4..<range.upperBound * 4])
        return try send(to: route, control: control, shared: SharedBytes(bytes, owner: payload))
    }
}
