import Foundation
import Synchronization

/// Looks a name up on a thread of its own: the system's call takes as long as its name servers do, and nothing ends it.
///
/// One look-up at a time. Whoever waits may go: the answer is there when they come again.
final class NameLookup<Answer: Sendable>: Sendable {
    private struct State {
        var isRunning = false
        var answer: Answer?
    }

    private let state = Mutex(State())
    private let lookUp: @Sendable () -> Answer

    init(_ lookUp: @escaping @Sendable () -> Answer) { self.lookUp = lookUp }

    /// The answer of a look-up that began with this call, or with an earlier one that nobody waited for.
    ///
    /// - Returns: nil where there is none after `seconds`, or when interrupted.
    func answer(within seconds: Double, isInterrupted: () -> Bool) -> Answer? {
        let mustStart = state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if mustStart {
            let thread = Thread { [self] in
                let answer = lookUp()
                state.withLock { $0.answer = answer }
            }
            thread.name = "look-up"
            thread.start()
        }
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            let answer = state.withLock { state -> Answer? in
                guard let answer = state.answer else { return nil }
                state = State()
                return answer
            }
            if let answer { return answer }
            guard !isInterrupted(), ContinuousClock.now < deadline else { return nil }
            Thread.sleep(forTimeInterval: 0.005)
        }
    }
}
