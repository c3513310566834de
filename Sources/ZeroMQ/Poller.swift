import CZeroMQ
import Glibc

/// Waits for whatever comes first.
package enum Poller {
    /// What was ready; nothing when the time was up.
    package struct Readiness: Sendable, Equatable {
        /// A message can be received.
        package var socket = false
        /// The waker was set, and stays so until ``Waker/reset()``.
        package var waker = false
    }

    /// Waits until the socket has a message or the waker is set.
    ///
    /// - Parameter milliseconds: the longest wait; 0 only looks, nil waits for ever. A signal does not end it.
    /// - Throws: ``ZeroMQError`` where the socket or its context is broken.
    package static func wait(
        socket: borrowing Socket, waker: Waker? = nil, milliseconds: Int?
    ) throws(ZeroMQError) -> Readiness {
        socket.checkThread()
        var items = [zmq_pollitem_t(socket: socket.raw, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)]
        if let waker {
            items.append(zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0))
        }
        try poll(&items, milliseconds: milliseconds)
        return Readiness(socket: items[0].revents != 0, waker: waker != nil && items[1].revents != 0)
    }

    /// Waits until the socket takes a message: for a dealer, until it is connected. Answers whether it does.
    ///
    /// - Parameter milliseconds: the longest wait; 0 only looks, nil waits for ever.
    /// - Throws: ``ZeroMQError`` where the socket or its context is broken.
    package static func waitUntilWritable(
        socket: borrowing Socket, milliseconds: Int?
    ) throws(ZeroMQError) -> Bool {
        socket.checkThread()
        var items = [zmq_pollitem_t(socket: socket.raw, fd: 0, events: Int16(ZMQ_POLLOUT), revents: 0)]
        try poll(&items, milliseconds: milliseconds)
        return items[0].revents != 0
    }

    private static func poll(_ items: inout [zmq_pollitem_t], milliseconds: Int?) throws(ZeroMQError) {
        let deadline = milliseconds.map { ContinuousClock.now + .milliseconds($0) }
        var remaining = milliseconds ?? -1
        while zmq_poll(&items, Int32(items.count), remaining) < 0 {
            guard zmq_errno() == EINTR else { throw ZeroMQError(.poll) }
            if let deadline {
                remaining = max(0, Int(((deadline - .now) / .milliseconds(1)).rounded(.up)))
            }
        }
    }
}
