import Coordination
import LanguageModel

/// Keeps a worker's ``ComputeTimes``: told when its compute thread gets work and when it is done.
struct ComputeAccount {
    private var times = ComputeTimes()
    /// By thread.
    private var spans: [[ThreadTimeline.Span]] = []
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

    /// - Parameters:
    ///   - phases: how the engine divides the time since the beginning; what it does not name is backward's.
    ///   - threads: what each of the engine's threads was at meanwhile.
    mutating func endedCompute(_ phases: PhaseTimes, _ threads: [[ThreadTimeline.Span]]) {
        let elapsed = lap()
        let forward = min(elapsed, UInt64(max(0, phases.pack + phases.forward) * 1e9))
        times.forward += forward
        times.backward += elapsed - forward
        // A worker may compute several leases in a step.
        for (index, own) in threads.prefix(ThreadSpan.maximumThreads).enumerated() {
            if index == spans.count { spans.append([]) }
            // One is left for the update.
            spans[index] += own.prefix(max(0, ThreadSpan.maximumCount - 1 - spans[index].count))
        }
    }

    /// The replica is updated: the account of the step, and a new one begins.
    mutating func updated() -> ComputeTimes {
        let began = mark
        times.update += lap()
        times.threads = spans.map { $0.compactMap { told(.init($0.phase), $0.from, $0.to) } }
        if times.threads.isEmpty { times.threads = [[]] }
        if let update = told(.update, began, mark) { times.threads[0].append(update) }
        defer {
            times = ComputeTimes()
            for index in spans.indices { spans[index].removeAll(keepingCapacity: true) }
            hasComputed = false
        }
        return times
    }

    private mutating func lap() -> UInt64 {
        let now = ContinuousClock.now
        defer { mark = now }
        return (now - mark).wholeNanoseconds
    }

    /// As seen from `mark`, the end of the update; nil where it is shorter than a microsecond, or more than an hour ago.
    private func told(_ phase: ThreadSpan.Phase, _ from: ContinuousClock.Instant, _ to: ContinuousClock.Instant)
        -> ThreadSpan?
    {
        // Both ends are rounded alike, so that spans that are apart stay so.
        let (before, after) = ((mark - from).wholeNanoseconds / 1000, (mark - to).wholeNanoseconds / 1000)
        guard before <= UInt64(UInt32.max), before > after else { return nil }
        return ThreadSpan(phase: phase, beforeEnd: UInt32(before), length: UInt32(before - after))
    }
}

extension ThreadSpan.Phase {
    fileprivate init(_ phase: ComputePhase) {
        self =
            switch phase {
            case .pack: .pack
            case .forward: .forward
            case .backward: .backward
            case .weightGradients: .weightGradients
            }
    }
}
