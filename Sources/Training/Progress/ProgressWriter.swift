import Checkpoints
import Foundation
import Synchronization

/// Writes text to an open file from a queue of its own: a terminal held with Ctrl-S, or a pipe that nobody reads, must
/// not stop the thread that coordinates the training.
final class ProgressWriter: Sendable {
    /// Texts that may wait; what comes on top of them is dropped.
    private static let limit = 1000
    /// Seconds that ``flush()`` waits at most.
    private static let flushTimeout = 2.0

    private let descriptor: Int32
    private let queue = DispatchQueue(label: "progress")
    private let waiting = Atomic<Int>(0)

    init(descriptor: Int32) { self.descriptor = descriptor }

    func write(_ text: String) {
        guard waiting.load(ordering: .relaxed) < Self.limit else { return }
        waiting.add(1, ordering: .relaxed)
        queue.async { [self] in
            // What cannot be written is dropped: a reader that is gone is no reason to stop.
            _ = writeWhole(Array(text.utf8), to: descriptor)
            waiting.subtract(1, ordering: .relaxed)
        }
    }

    /// Waits until all is written, or for a moment where the reader has stopped.
    func flush() {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        _ = done.wait(timeout: .now() + Self.flushTimeout)
    }
}
