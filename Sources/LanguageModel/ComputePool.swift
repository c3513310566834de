import Foundation
import Synchronization

/// Threads that wait for work and do it together. The caller's thread is one of them.
package final class ComputePool: @unchecked Sendable {
    // @unchecked: `job`, `round` and `running` are guarded by `condition`.
    package let threads: Int
    private let condition = NSCondition()
    private var job: (@Sendable (Int) -> Void)?
    private var round = 0
    private var running = 0
    private var isClosed = false

    package init(threads: Int) {
        precondition(threads >= 1)
        self.threads = threads
        for index in 1..<max(threads, 1) {
            // The thread holds the pool's shared state only while it works, so that dropping the pool ends it.
            let thread = Thread { [state = Unmanaged.passUnretained(self)] in
                state._withUnsafeGuaranteedRef { $0.serve(index) }
            }
            thread.name = "compute \(index)"
            thread.stackSize = 8 << 20
            starting.append(thread)
        }
        for thread in starting { thread.start() }
    }

    private var starting: [Thread] = []

    /// Ends the threads and waits for them.
    package func close() {
        condition.lock()
        isClosed = true
        condition.broadcast()
        while ended < threads - 1 { condition.wait() }
        condition.unlock()
    }

    private var ended = 0

    private func serve(_ index: Int) {
        var seen = 0
        condition.lock()
        while true {
            while round == seen && !isClosed { condition.wait() }
            if isClosed { break }
            seen = round
            let work = job!
            condition.unlock()
            work(index)
            condition.lock()
            running -= 1
            if running == 0 { condition.broadcast() }
        }
        ended += 1
        condition.broadcast()
        condition.unlock()
    }

    /// Runs `work` once on every thread, with the thread's index, and waits for all.
    package func run(_ work: @Sendable (Int) -> Void) {
        guard threads > 1 else { return work(0) }
        withoutActuallyEscaping(work) { work in
            condition.lock()
            job = work
            running = threads - 1
            round += 1
            condition.broadcast()
            condition.unlock()
            work(0)
            condition.lock()
            while running > 0 { condition.wait() }
            job = nil
            condition.unlock()
        }
    }

    /// Runs tasks `0..<count` on whichever thread is free; their order never shows in a result.
    package func run(tasks count: Int, _ work: @Sendable (_ task: Int, _ thread: Int) -> Void) {
        let next = Atomic<Int>(0)
        run { thread in
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
