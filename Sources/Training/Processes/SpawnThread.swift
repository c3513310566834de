import Foundation

/// The one thread that starts worker processes. It lasts as long as this process: a worker has the kernel kill it when the
/// thread that started it ends, which so is when this process ends, however that comes about.
final class SpawnThread: @unchecked Sendable {
    // @unchecked: `jobs` is guarded by `condition`.
    static let shared = SpawnThread()

    private let condition = NSCondition()
    private var jobs: [@Sendable () -> Void] = []

    private init() {
        let thread = Thread { [self] in
            while true {
                condition.lock()
                while jobs.isEmpty { condition.wait() }
                let job = jobs.removeFirst()
                condition.unlock()
                job()
            }
        }
        thread.name = "spawn"
        thread.start()
    }

    /// Runs `body` on the thread and waits for it.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
        let done = DispatchSemaphore(value: 0)
        nonisolated(unsafe) var value: Value?
        condition.lock()
        jobs.append {
            value = body()
            done.signal()
        }
        condition.signal()
        condition.unlock()
        done.wait()
        return value!
    }
}
