import Foundation
import Synchronization

/// Worker processes of this machine, started and ended with the coordinator. One that dies is started again, unless it
/// dies too often (``RestartBudget``), while the others go on with its work; one that stands still is killed and started
/// again.
final class LocalWorkers: @unchecked Sendable {
    // @unchecked: the state is guarded by the mutex.
    private struct State {
        var children: [Int: ChildProcess] = [:]
        var budgets: [Int: RestartBudget] = [:]
        /// Workers that have not been given up, whether their process is there just now or not.
        var remaining = 0
        var isEnding = false
        /// Not to be started again: their bits were wrong.
        var abandoned: Set<Int> = []
        /// Killed because they stood still.
        var replaced: Set<Int> = []
    }

    private let endpoint: String
    private let threads: Int
    private let inbox: Inbox<CoordinatorEvent>
    private let state = Mutex(State())

    init(endpoint: String, threads: Int, inbox: Inbox<CoordinatorEvent>) {
        self.endpoint = endpoint
        self.threads = threads
        self.inbox = inbox
    }

    func start(count: Int, faults: FaultPlan) throws {
        state.withLock { $0.remaining = count }
        for number in 1...count { try start(number, faults: faults.text) }
    }

    private func start(_ number: Int, faults: String) throws {
        var arguments = [
            "worker", "--connect=\(endpoint)", "--threads=\(threads)", "--name=w\(number)", "--retry-for=30s",
            "--quiet",
        ]
        if !faults.isEmpty { arguments.append("--inject=\(faults)") }
        let words = arguments
        let child = try SpawnThread.shared.run { Result { try ChildProcess(arguments: words) } }.get()
        let isTooLate = state.withLock { state in
            state.children[number] = child
            return state.isEnding
        }
        child.waitOnThread { [self] status in ended(number, status) }
        if isTooLate { child.terminate(grace: 1) }
    }

    private func ended(_ number: Int, _ status: ExitStatus) {
        let (isEnding, isAbandoned, isRare) = state.withLock { state in
            state.children[number] = nil
            let isRare =
                state.replaced.remove(number) != nil
                || state.budgets[number, default: RestartBudget()].ended(at: .now)
            return (state.isEnding, state.abandoned.contains(number), isRare)
        }
        guard !isEnding else { return }
        inbox.post(.processEnded(name: "w\(number)", description: "its process \(status)"))
        if status.isSuccess {
            // It was told to finish, or to leave: no death to make good.
            giveUp("worker w\(number) has left", last: "every worker process has left")
        } else if isRare && !isAbandoned {
            // Without the faults that were asked for, which would strike again.
            do { try start(number, faults: "") } catch {
                giveUp("worker w\(number) is not started again: \(error)", last: "\(error)")
            }
        } else {
            giveUp(
                "worker w\(number) is not started again\(isRare ? "" : RestartBudget.exhausted): its process \(status)",
                last: "no worker process is left to go on with: see the lines above")
        }
    }

    /// - Parameter last: what is said in place of `text` where no worker remains.
    private func giveUp(_ text: String, last: String) {
        let remaining = state.withLock { state in
            state.remaining -= 1
            return state.remaining
        }
        inbox.post(remaining == 0 ? .failed(last) : .givenUp(text, remaining: remaining))
    }

    /// Of the worker of this name; nil for one that was started elsewhere.
    private static func number(_ name: String) -> Int? { name.first == "w" ? Int(name.dropFirst()) : nil }

    /// Starts the worker of this name no more.
    func abandon(name: String) {
        guard let number = Self.number(name) else { return }
        state.withLock { _ = $0.abandoned.insert(number) }
    }

    /// Kills the process of the worker of this name, which stands still. Another is started in its place, however often.
    ///
    /// - Returns: whether there is such a process.
    func replace(name: String) -> Bool {
        guard let number = Self.number(name) else { return false }
        let child = state.withLock { state in
            if state.children[number] != nil { state.replaced.insert(number) }
            return state.children[number]
        }
        child?.killNow()
        return child != nil
    }

    /// Waits for the processes, which have been told to finish; ends those that do not.
    func end() {
        let children = state.withLock { state in
            state.isEnding = true
            return Array(state.children.values)
        }
        for _ in 0..<100 where !state.withLock({ $0.children.isEmpty }) { Thread.sleep(forTimeInterval: 0.02) }
        guard !state.withLock({ $0.children.isEmpty }) else { return }
        for child in children { child.terminate(grace: 1) }
        for _ in 0..<100 where !state.withLock({ $0.children.isEmpty }) { Thread.sleep(forTimeInterval: 0.02) }
    }
}
