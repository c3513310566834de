import CZeroMQ
import Glibc

/// Wakes a poller from another thread.
package final class Waker: Sendable {
    let descriptor: Int32

    /// - Throws: ``ZeroMQError`` where the process is out of descriptors.
    package init() throws(ZeroMQError) {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else { throw ZeroMQError(.createWaker, code: errno) }
    }

    deinit { close(descriptor) }

    /// Ends the poller's wait, or its next one where it does not wait now. From any thread.
    package func wake() {
        var one: UInt64 = 1
        // A full counter means that the poller is to wake already.
        _ = write(descriptor, &one, 8)
    }

    /// Takes back all wakes so far.
    package func reset() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}
