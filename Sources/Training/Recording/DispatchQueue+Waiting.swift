import Foundation

extension DispatchQueue {
    /// Does a last piece of work behind what waits in a serial queue, and waits for it, but not for ever: the disk that the
    /// queue writes to may stand still.
    ///
    /// - Returns: whether the work was done within the time.
    func finish(within seconds: Double, _ work: @escaping @Sendable () -> Void = {}) -> Bool {
        let done = DispatchSemaphore(value: 0)
        async {
            work()
            done.signal()
        }
        let deadline = ContinuousClock.now + .seconds(seconds)
        // A wait ends early where the system's clock is set forward meanwhile.
        while done.wait(timeout: .now() + min(seconds, 0.1)) == .timedOut {
            if ContinuousClock.now >= deadline { return false }
        }
        return true
    }
}
