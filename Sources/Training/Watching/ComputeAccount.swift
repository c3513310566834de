import Coordination
import LanguageModel

/// Keeps a compute thread's ``ComputeTimes``: told when it gets work and when it is done.
struct ComputeAccount {
    private var times = ComputeTimes()
    private var mark = ContinuousClock.now
    private var hasComputed = false

    /// The thread was idle until now.
    mutating func resumed() {
        let waited = lap()
        if hasComputed { times.awaitingCommit += waited } else { times.awaitingLease += waited }
    }

    /// What the thread did since then is no part of a step.
    mutating func passedOver() { _ = lap() }

    mutating func beganCompute() {
        mark = .now
        hasComputed = true
    }

    /// - Parameter phases: how the engine divides the time since the beginning; what it does not name is backward's.
    mutating func endedCompute(_ phases: PhaseTimes) {
        let elapsed = lap()
        let forward = min(elapsed, UInt64(max(0, phases.pack + phases.forward) * 1e9))
        times.forward += forward
        times.backward += elapsed - forward
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
