import Foundation
import Kernels
import Synchronization

/// What some threads do in a second, all at once: what a step is measured against.
package enum PeakMeter {
    private static let rounds = 9

    /// Fused multiply-adds in GFLOP/s, two operations each: the sum over the threads of the median of each one's rounds.
    /// Takes about a third of a second.
    package static func multiplyAdds(threads: Int) -> Double {
        together(threads) { Kernels.multiplyAddRate(seconds: 0.03) } * 1e-9
    }

    /// GB/s that the threads read when each goes through its own part of `bytes` again and again.
    package static func reading(bytes: Int, threads: Int) -> Double {
        let parts = Mutex((0..<threads).map { _ in FloatBuffer(count: bytes / 4 / threads) })
        let rate = together(
            threads, start: { parts.withLock { $0.removeLast() } }, { Kernels.readRate(of: $0, seconds: 0.03) })
        return rate * 1e-9
    }

    private static func together(_ threads: Int, _ measure: @escaping @Sendable () -> Double) -> Double {
        together(threads, start: {}, { measure() })
    }

    private static func together<Own>(
        _ threads: Int, start: @escaping @Sendable () -> Own, _ measure: @escaping @Sendable (Own) -> Double
    ) -> Double {
        let results = Mutex<[Double]>([])
        let ready = Atomic<Int>(0)
        let group = DispatchGroup()
        for _ in 0..<threads {
            group.enter()
            let thread = Thread {
                let own = start()
                ready.add(1, ordering: .relaxed)
                while ready.load(ordering: .relaxed) < threads { sched_yield() }
                let rates = (0..<rounds).map { _ in measure(own) }
                results.withLock { $0.append(rates.sorted()[rounds / 2]) }
                group.leave()
            }
            thread.start()
        }
        group.wait()
        return results.withLock { $0.reduce(0, +) }
    }
}
