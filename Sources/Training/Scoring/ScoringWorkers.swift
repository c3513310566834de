import Foundation
import Synchronization

/// Processes of this machine that each score a share of a text.
package enum ScoringWorkers {
    /// Starts `count` processes and waits for all.
    ///
    /// - Parameter arguments: of the process with this index.
    /// - Returns: how each of them ended.
    package static func run(count: Int, arguments: (Int) -> [String]) throws -> [ExitStatus] {
        let endings = Mutex([ExitStatus?](repeating: nil, count: count))
        let done = DispatchSemaphore(value: 0)
        for index in 0..<count {
            let words = arguments(index)
            let child = try SpawnThread.shared.run { Result { try ChildProcess(arguments: words) } }.get()
            child.waitOnThread { status in
                endings.withLock { $0[index] = status }
                done.signal()
            }
        }
        for _ in 0..<count { done.wait() }
        return endings.withLock { $0.map { $0! } }
    }
}
