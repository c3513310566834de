import FlyingFox
import FlyingSocks
import Foundation
import Synchronization

/// Sends a live run's snapshots to all open pages. A page that reads slowly gets fewer, never a queue of them.
final class SnapshotFeed: Sendable {
    /// Pages at a time.
    static let limit = 32
    /// Seconds between two snapshots.
    static let interval = 0.5

    private let source: @Sendable () -> [UInt8]
    private let newest = Mutex<(time: ContinuousClock.Instant, bytes: [UInt8])?>(nil)
    private let clients = Atomic<Int>(0)
    private let isClosing = Atomic<Bool>(false)

    init(source: @escaping @Sendable () -> [UInt8]) { self.source = source }

    var clientCount: Int { clients.load(ordering: .relaxed) }

    /// From now on each page gets one last snapshot, and its stream ends.
    func close() { isClosing.store(true, ordering: .relaxed) }

    /// nil where there are too many pages already.
    func stream() -> Stream? {
        guard clients.add(1, ordering: .relaxed).newValue <= Self.limit else {
            clients.subtract(1, ordering: .relaxed)
            return nil
        }
        return Stream(feed: self, seat: Seat(self))
    }

    /// One snapshot serves all pages.
    private func current(fresh: Bool) -> [UInt8] {
        newest.withLock { newest in
            let now = ContinuousClock.now
            if !fresh, let known = newest, now - known.time < .seconds(Self.interval * 0.8) { return known.bytes }
            let bytes = source()
            newest = (now, bytes)
            return bytes
        }
    }

    /// Held by a page's stream.
    final class Seat: Sendable {
        private let feed: SnapshotFeed
        init(_ feed: SnapshotFeed) { self.feed = feed }
        deinit { feed.clients.subtract(1, ordering: .relaxed) }
    }

    struct Stream: AsyncBufferedSequence {
        typealias Element = UInt8
        let feed: SnapshotFeed
        let seat: Seat
        func makeAsyncIterator() -> Iterator { Iterator(feed: feed, seat: seat) }
    }

    struct Iterator: AsyncBufferedIteratorProtocol {
        let feed: SnapshotFeed
        let seat: Seat
        private var isFirst = true
        private var isOver = false

        init(feed: SnapshotFeed, seat: Seat) {
            self.feed = feed
            self.seat = seat
        }

        mutating func next() async throws -> UInt8? { preconditionFailure("FlyingFox takes buffers") }

        mutating func nextBuffer(suggested count: Int) async throws -> [UInt8]? {
            guard !isOver else { return nil }
            if isFirst {
                isFirst = false
                return Array("retry: 1000\n".utf8) + Self.message(feed.current(fresh: false))
            }
            let deadline = ContinuousClock.now + .seconds(SnapshotFeed.interval)
            while ContinuousClock.now < deadline, !feed.isClosing.load(ordering: .relaxed) {
                try await Task.sleep(for: .milliseconds(100))
            }
            isOver = feed.isClosing.load(ordering: .relaxed)
            return Self.message(feed.current(fresh: isOver))
        }

        private static func message(_ json: [UInt8]) -> [UInt8] {
            Array("data: ".utf8) + json + Array("\n\n".utf8)
        }
    }
}
