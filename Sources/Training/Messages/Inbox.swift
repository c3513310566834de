import Synchronization
package import ZeroMQ

/// Events from other threads for the one thread that owns a socket, which its poller hears of.
package final class Inbox<Event: Sendable>: Sendable {
    private let events = Mutex<[Event]>([])
    package let waker: Waker

    /// - Throws: ``ZeroMQError`` where the system has no descriptor left.
    package init() throws(ZeroMQError) { waker = try Waker() }

    /// Adds an event and wakes the owner. From any thread.
    package func post(_ event: Event) {
        events.withLock { $0.append(event) }
        waker.wake()
    }

    /// Adds events, in order, and wakes the owner once. From any thread.
    package func post(contentsOf more: [Event]) {
        guard !more.isEmpty else { return }
        events.withLock { $0 += more }
        waker.wake()
    }

    /// All events so far, in order.
    package func drain() -> [Event] {
        waker.reset()
        return events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}
