import Foundation
import Synchronization

/// Worker processes of this machine, started and ended with the coordinator. One that dies is started again, unless it
/// dies too often (``RestartBudget``), while the others go on with its work; one that stands still is killed and started
/// again. Workers that others start, where they can join, are no matter of its.
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

    private let access: (endpoint: String, keys: KeyFolder?)
    private let threads: Int
    /// nil where nobody else can join; else how many others the first step waits for.
    private let others: Int?
    private let inbox: Inbox<CoordinatorEvent>
    private let state = Mutex(State())

    init(
        access: (endpoint: String, keys: KeyFolder?), threads: Int, others: Int?, inbox: Inbox<CoordinatorEvent>
    ) {
        self.access = access
        self.threads = threads
        self.others = others
        self.inbox = inbox
    }

    func start(count: Int, faults: FaultPlan) throws {
        state.withLock { $0.remaining = count }
        for number in 1...count { try start(number, faults: faults.text) }
    }

    private func start(_ number: Int, faults: String) throws {
        var arguments = [
            "worker", "--connect=\(access.endpoint)", "--threads=\(threads)", "--name=w\(number)", "--retry-for=30s",
            "--quiet",
        ]
        if let keys = access.keys { arguments.append("--keys=\(keys.path)") }
        if !faults.isEmpty { arguments.append("--inject=\(faults)") }
        let words = arguments
        let child = try SpawnThread.shared.run { Result { try ChildProcess(arguments: words) } }.get()
        let isTooLate = state.withLock { state in
            state.children[number] = child
            return state.isEnding
        }
        child.waitOnThread { [self, process = child.pid] status in ended(number, process, status) }
        if isTooLate { child.terminate(grace: 1) }
    }

    private func ended(_ number: Int, _ process: pid_t, _ status: ExitStatus) {
        let (isEnding, isAbandoned, isRare) = state.withLock { state in
            state.children[number] = nil
            let isRare =
                state.replaced.remove(number) != nil
                || state.budgets[number, default: RestartBudget()].ended(at: .now)
            return (state.isEnding, state.abandoned.contains(number), isRare)
        }
        guard !isEnding else { return }
        inbox.post(.processEnded(name: "w\(number)", process: UInt32(process), description: "its process \(status)"))
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
        guard remaining > 0 || others != nil else { return inbox.post(.failed(last)) }
        inbox.post(.givenUp(text, last: remaining == 0 ? last : nil, remaining: remaining + (others ?? 0)))
    }

    /// The number in a worker's name; nil for one that was started elsewhere.
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
