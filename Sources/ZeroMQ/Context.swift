import CZeroMQ
import Glibc

/// ZeroMQ's I/O thread and the sockets it serves. One a process; never to be used on both sides of a fork. One thread
/// serves some GB/s; a second does not help one connection.
///
/// Every socket holds its context, so it ends after the last of them, and then waits at most for their linger time.
package final class Context: @unchecked Sendable {
    // @unchecked: libzmq's contexts may be used from any thread.
    let raw: UnsafeMutableRawPointer

    /// - Throws: ``ZeroMQError`` where no thread can be started.
    package init() throws(ZeroMQError) {
        guard let raw = zmq_ctx_new() else { throw ZeroMQError(.createContext) }
        // The default of 1,023 is less than a large cluster's; the memory is a pointer each.
        let limit = zmq_ctx_get(raw, ZMQ_SOCKET_LIMIT)
        guard zmq_ctx_set(raw, ZMQ_MAX_SOCKETS, limit) == 0,
            // No socket waits for ever to be rid of its last messages, whatever options it was given.
            zmq_ctx_set(raw, ZMQ_BLOCKY, 0) == 0
        else {
            let error = ZeroMQError(.createContext)
            zmq_ctx_term(raw)
            throw error
        }
        self.raw = raw
    }

    deinit { while zmq_ctx_term(raw) != 0 && zmq_errno() == EINTR {} }
}
