import Foundation
import Synchronization

/// Threads that wait for work and do it together. The caller's thread is one of them.
///
/// Whoever waits spins for some tens of microseconds before it sleeps: the parts of a step follow each other closely.
package final class ComputePool: @unchecked Sendable {
    // @unchecked: `job`, `isClosed` and `ended` are guarded by `condition`.
    private static let spinLimit = 100_000

    package let threads: Int
    let timeline: ThreadTimeline
    private let condition = NSCondition()
    private var job: (@Sendable (Int) -> Void)?
    private var isClosed = false
    private var ended = 0
    /// Changed under the lock only, and looked at without.
    private let round = Atomic<Int>(0)
    private let running = Atomic<Int>(0)

    /// - Parameter threads: at least 1, the caller's own included.
    package init(threads: Int) {
        precondition(threads >= 1)
        self.threads = threads
        timeline = ThreadTimeline(threads: threads)
        for index in 1..<threads {
            // Unretained, so that the owner's last reference counts: it ends the threads with `close`.
            let thread = Thread { [pool = Unmanaged.passUnretained(self)] in
                pool._withUnsafeGuaranteedRef { $0.serve(index) }
            }
            thread.name = "compute \(index)"
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// Ends the threads and waits for them: to be called before the pool is let go.
    package func close() {
        condition.lock()
        isClosed = true
        condition.broadcast()
        while ended < threads - 1 { condition.wait() }
        condition.unlock()
    }

    private func serve(_ index: Int) {
        var seen = 0
        while true {
            spin { round.load(ordering: .relaxed) == seen }
            condition.lock()
            while round.load(ordering: .relaxed) == seen && !isClosed { condition.wait() }
            if isClosed { break }
            seen = round.load(ordering: .relaxed)
            do {
                // Let go of under the lock: `run` may not return while somebody holds its closure.
                let work = job!
                condition.unlock()
                work(index)
                condition.lock()
            }
            if running.subtract(1, ordering: .relaxed).newValue == 0 { condition.broadcast() }
            condition.unlock()
        }
        ended += 1
        condition.broadcast()
        condition.unlock()
    }

    private func spin(while isWaiting: () -> Bool) {
        for _ in 0..<Self.spinLimit {
            guard isWaiting() else { return }
        }
    }

    /// Runs `work` once on every thread, with the thread's index, and waits for all.
    ///
    /// - Parameter phase: what the threads are at, for the timeline; nil keeps it out of there.
    package func run(_ phase: ComputePhase? = nil, _ work: @Sendable (Int) -> Void) {
        guard let phase else { return spread(work) }
        spread { [timeline] thread in
            let from = ContinuousClock.now
            work(thread)
            timeline.note(phase, since: from, thread: thread)
        }
    }

    private func spread(_ work: @Sendable (Int) -> Void) {
        guard threads > 1 else { return work(0) }
        withoutActuallyEscaping(work) { work in
            condition.lock()
            job = work
            running.store(threads - 1, ordering: .relaxed)
            round.add(1, ordering: .relaxed)
            condition.broadcast()
            condition.unlock()
            work(0)
            spin { running.load(ordering: .relaxed) > 0 }
            condition.lock()
            while running.load(ordering: .relaxed) > 0 { condition.wait() }
            job = nil
            condition.unlock()
        }
    }

    /// Runs tasks `0..<count` on whichever thread is free; their order never shows in a result.
    package func run(
        _ phase: ComputePhase? = nil, tasks count: Int, _ work: @Sendable (_ task: Int, _ thread: Int) -> Void
    ) {
        let next = Atomic<Int>(0)
        run(phase) { thread in
            while true {
                let task = next.add(1, ordering: .relaxed).oldValue
                guard task < count else { return }
                work(task, thread)
            }
        }
    }

    /// The part of `count` rows that a thread does.
    package func share(of count: Int, thread: Int) -> Range<Int> {
        count * thread / threads..<count * (thread + 1) / threads
    }
}
