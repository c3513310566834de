import Foundation
import Synchronization

/// Sends a live run's snapshots to all open pages. A page that reads slowly gets fewer, never a queue of them.
final class SnapshotFeed: @unchecked Sendable {
    // @unchecked: `clients` and `newest` are guarded by `lock`.

    /// Pages at a time.
    static let limit = 32
    /// Seconds between two snapshots.
    static let interval = 0.5

    private let source: @Sendable () -> [UInt8]
    private let lock = NSLock()
    /// Each stream that passes it lets the next one pass. It waits by a clock that nobody sets, as an NSCondition does not.
    private let closing = DispatchSemaphore(value: 0)
    private var newest: (time: ContinuousClock.Instant, bytes: [UInt8])?
    private var clients = 0

    init(source: @escaping @Sendable () -> [UInt8]) { self.source = source }

    var clientCount: Int { lock.withLock { clients } }

    /// From now on each page gets one last snapshot, and its stream ends.
    func close() { closing.signal() }

    /// Takes a seat for a page: false where there are too many already. ``serve(_:)`` gives it back.
    func admit() -> Bool {
        lock.withLock {
            guard clients < Self.limit else { return false }
            clients += 1
            return true
        }
    }

    /// Server-sent events, until the page is gone or the feed is closed.
    ///
    /// - Parameter write: whether the page took it.
    func serve(_ write: ([UInt8]) -> Bool) {
        defer { lock.withLock { clients -= 1 } }
        var isOver = false
        guard write(Array("retry: 1000\n".utf8) + message(isLast: false)) else { return }
        while !isOver {
            isOver = closing.wait(timeout: .now() + Self.interval) == .success
            if isOver { closing.signal() }
            guard write(message(isLast: isOver)) else { return }
        }
    }

    /// One snapshot serves all pages.
    private func message(isLast: Bool) -> [UInt8] {
        let json = lock.withLock {
            let now = ContinuousClock.now
            if !isLast, let newest, now - newest.time < .seconds(Self.interval * 0.8) { return newest.bytes }
            let bytes = source()
            newest = (now, bytes)
            return bytes
        }
        return Array("data: ".utf8) + json + Array("\n\n".utf8)
    }
}
