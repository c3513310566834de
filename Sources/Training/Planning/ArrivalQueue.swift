/// Messages of several senders that pass one link in the order in which they come, first in, first out.
///
/// Each sender has a link of the same rate, and sends its messages one behind the other, each as soon as it is ready. What
/// comes faster than the link carries waits; while as much waits as the queue holds, senders share the link evenly, as TCP
/// has them do. Bytes are a fluid, counted in the seconds that the link needs for them.
struct ArrivalQueue {
    private struct Sender {
        var messages: [(ready: Double, seconds: Double)]
        var next = 0
        /// Seconds of the link that the next message still needs.
        var rest: Double
        var passed: [Double] = []

        var isDone: Bool { next == messages.count }
        func isActive(at time: Double) -> Bool { !isDone && messages[next].ready <= time }
    }

    /// Less is nothing.
    private static let grain = 1e-12

    private var senders: [Sender]
    private let limit: Double

    /// - Parameters:
    ///   - senders: the messages of each, in their order: when they are ready, and how long the link needs for them.
    ///   - limit: how much waits at most.
    init(senders: [[(ready: Double, seconds: Double)]], limit: Double) {
        self.senders = senders.map { Sender(messages: $0, rest: $0.first?.seconds ?? 0) }
        self.limit = limit
    }

    /// When each message of each sender has passed the link.
    mutating func run() -> [[Double]] {
        var time = 0.0
        var waiting = 0.0
        while senders.contains(where: { !$0.isDone }) {
            let active = senders.indices.filter { senders[$0].isActive(at: time) }
            let isFull = waiting >= limit - Self.grain && active.count > 1
            let rate = isFull ? 1 / Double(active.count) : 1
            let growth = isFull ? 0 : Double(active.count) - 1

            // Until the next message has left its sender, or is ready, or the queue is full.
            var span = Double.infinity
            for index in active { span = min(span, senders[index].rest / rate) }
            for sender in senders where !sender.isDone && sender.messages[sender.next].ready > time {
                span = min(span, sender.messages[sender.next].ready - time)
            }
            if growth > 0 { span = min(span, (limit - waiting) / growth) }

            time += span
            waiting = max(0, waiting + growth * span)
            for index in active {
                senders[index].rest -= rate * span
                guard senders[index].rest <= Self.grain else { continue }
                // All that came before it goes first.
                senders[index].passed.append(time + waiting)
                senders[index].next += 1
                if !senders[index].isDone { senders[index].rest = senders[index].messages[senders[index].next].seconds }
            }
        }
        return senders.map(\.passed)
    }
}
