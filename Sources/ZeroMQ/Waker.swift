internal import Glibc

/// Ends a `Poller.wait` from any thread. It stays woken until it is reset.
///
/// A non-blocking pipe, because Swift's Glibc module has no `eventfd`.
package final class Waker: Sendable {
    /// Readable while woken.
    let fileDescriptor: Int32
    private let writeEnd: Int32

    package init() throws(ZeroMQError) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, Int32(O_NONBLOCK | O_CLOEXEC)) == 0 else {
            throw ZeroMQError(operation: .createWaker, endpoint: nil, code: errno)
        }
        (fileDescriptor, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(fileDescriptor)
        close(writeEnd)
    }

    package func wake() {
        var byte: UInt8 = 1
        // It fails only with the pipe full, and then the waker is awake already.
        _ = write(writeEnd, &byte, 1)
    }

    package func reset() {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { bytes in
            // A short read emptied the pipe.
            while read(fileDescriptor, bytes.baseAddress, bytes.count) == bytes.count {}
        }
    }
}
