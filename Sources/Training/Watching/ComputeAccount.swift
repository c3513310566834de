import Coordination

/// Keeps a compute thread's ``ComputeTimes``: told when it gets work and when it is done.
struct ComputeAccount {
    private var times = ComputeTimes()
    private var mark = ContinuousClock.now
    private var isInForward = false
    private var hasComputed = false

    /// The thread was idle until now.
    mutating func resumed() {
        let waited = lap()
        if hasComputed { times.awaitingCommit += waited } else { times.awaitingLease += waited }
    }

    mutating func beganForward() {
        mark = .now
        isInForward = true
        hasComputed = true
    }

    /// The first part of the gradient is final.
    mutating func reachedGradient() {
        guard isInForward else { return }
        times.forward += lap()
        isInForward = false
    }

    mutating func endedCompute() {
        reachedGradient()
        times.backward += lap()
    }

    /// The replica is updated: the account of the step, and a new one begins.
    mutating func updated() -> ComputeTimes {
        times.update += lap()
        defer {
            times = ComputeTimes()
            hasComputed = false
        }
        return times
    }

    private mutating func lap() -> UInt64 {
        let now = ContinuousClock.now
        defer { mark = now }
        let elapsed = (now - mark).components
        return UInt64(max(0, elapsed.seconds)) * 1_000_000_000 + UInt64(max(0, elapsed.attoseconds / 1_000_000_000))
    }
}
