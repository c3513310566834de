import Foundation

/// The room that is left on a disk of a test.
final class Countdown: @unchecked Sendable {
    // @unchecked: `left` is guarded by the lock.
    private var left: Int
    private let lock = NSLock()

    init(from left: Int) { self.left = left }

    /// How much of `count` there is room for; nil where there is none.
    func take(_ count: Int) -> Int? {
        lock.withLock {
            let room = min(count, left)
            left -= room
            return room > 0 ? room : nil
        }
    }
}
