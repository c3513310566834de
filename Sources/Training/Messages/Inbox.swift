import Synchronization
package import ZeroMQ

/// Events from other threads for the one thread that owns a socket, which its poller hears of.
package final class Inbox<Event: Sendable>: Sendable {
    private let events = Mutex<[Event]>([])
    package let waker: Waker

    package init() throws(ZeroMQError) { waker = try Waker() }

    package func post(_ event: Event) {
        events.withLock { $0.append(event) }
        waker.wake()
    }

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
