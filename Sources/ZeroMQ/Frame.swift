import CZeroMQ
import Glibc

/// One part of a message, in ZeroMQ's own memory or in memory that it reads in place.
package struct Frame: ~Copyable {
    /// On the heap: libzmq keeps short contents inside the structure, whose address so has to stay.
    let raw: UnsafeMutablePointer<zmq_msg_t>

    /// A copy of `bytes`.
    ///
    /// - Throws: ``ZeroMQError`` where memory has run out.
    package init(_ bytes: [UInt8]) throws(ZeroMQError) {
        let raw = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
        guard zmq_msg_init_size(raw, bytes.count) == 0 else {
            let error = ZeroMQError(.createFrame)
            raw.deallocate()
            throw error
        }
        UnsafeMutableRawBufferPointer(start: zmq_msg_data(raw), count: bytes.count).copyBytes(from: bytes)
        self.raw = raw
    }

    /// The memory of `bytes` itself, without a copy.
    ///
    /// - Parameter owner: keeps the memory alive. It is released when the last byte has left, or was dropped, **on an I/O
    ///   thread**; until then nobody may write to the memory.
    /// - Throws: ``ZeroMQError`` where memory has run out.
    package init(reading bytes: UnsafeRawBufferPointer, keeping owner: AnyObject) throws(ZeroMQError) {
        let raw = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
        let hint = Unmanaged.passRetained(owner)
        let status = zmq_msg_init_data(
            raw, UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count,
            { _, hint in Unmanaged<AnyObject>.fromOpaque(hint!).release() }, hint.toOpaque())
        guard status == 0 else {
            let error = ZeroMQError(.createFrame)
            hint.release()
            raw.deallocate()
            throw error
        }
        self.raw = raw
    }

    deinit {
        zmq_msg_close(raw)
        raw.deallocate()
    }

    package var byteCount: Int { zmq_msg_size(raw) }

    /// The bytes where they lie; not to be kept beyond the call.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: zmq_msg_data(raw), count: zmq_msg_size(raw)))
    }
}
