import Foundation
import Glibc
import Testing

/// How long a run stands still after a fault: figures for the documentation, not a test of speed. `make recovery` sets
/// the number of trials.
@Suite("Recovery times", .serialized)
struct RecoveryTimes {
    private static let trials = ProcessInfo.processInfo.environment["LOCKSTEP_RECOVERY_TRIALS"].flatMap(Int.init)

    private static let flags = [
        "--hidden=64", "--layers=2", "--batch=24", "--window=24", "--shards=8", "--sample-every=0",
        "--evaluate-every=0",
        "--checkpoint-every=0", "--steps=100000000", "--quiet",
    ]

    /// A coordinator and three workers, each behind a relay.
    private final class Cluster {
        let folder: TemporaryFolder
        let port: UInt16
        var coordinator: Execution
        var relays: [Relay] = []
        var workers: [Execution] = []

        init() throws {
            folder = try TinyRun.folder()
            port = try Relay.freePort()
            coordinator = try Execution(
                ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:\(port)", "--minimum-workers=3"]
                    + flags, in: folder)
            for number in 1...3 {
                relays.append(try Relay(to: port))
                workers.append(try worker("w\(number)", relays.last!.port))
            }
        }

        deinit {
            for relay in relays { relay.end() }
            for worker in workers { worker.send(SIGCONT) }
        }

        func worker(_ name: String, _ port: UInt16) throws -> Execution {
            try Execution(
                ["worker", "--connect=tcp://127.0.0.1:\(port)", "--threads=1", "--name=\(name)", "--quiet"],
                in: folder)
        }

        var last: (step: Int, workers: Int) { get throws { try Trace.last(run: "run", in: folder) } }

        /// Waits for so many workers, and a few steps with them.
        func settle(workers: Int = 3) async throws {
            try await Deadline.wait(for: "\(workers) workers") { try self.last.workers == workers }
            let step = try last.step
            try await Deadline.wait(for: "some steps") { try self.last.step >= step + 10 }
        }

        /// Milliseconds from `fault` to the second step after it: the first may have been complete already.
        func standstill(after fault: () throws -> Void) throws -> Double {
            let before = try last.step
            let start = ContinuousClock.now
            try fault()
            while try last.step < before + 2 {
                usleep(1000)
                guard ContinuousClock.now - start < .seconds(60) else {
                    throw Deadline(description: "no step for 60 s")
                }
            }
            return (ContinuousClock.now - start) / .milliseconds(1)
        }
    }

    private func report(_ name: String, _ times: [Double]) {
        let sorted = times.sorted()
        func text(_ value: Double) -> String { "\(Int(value.rounded()))" }
        print(
            "recovery: \(name): median \(text(sorted[sorted.count / 2])) ms, from \(text(sorted[0])) to "
                + "\(text(sorted.last!)) ms, \(sorted.count) trials")
    }

    private func measure(
        _ name: String, _ fault: (Cluster) throws -> Void, repair: (Cluster) async throws -> Void
    ) async throws {
        let cluster = try Cluster()
        var times: [Double] = []
        for _ in 0..<Self.trials! {
            try await cluster.settle()
            times.append(try cluster.standstill { try fault(cluster) })
            try await repair(cluster)
        }
        report(name, times)
    }

    @Test("Figures", .enabled(if: trials != nil, "make recovery asks for them"))
    func figures() async throws {
        try await measure("undisturbed, two steps", { _ in }, repair: { _ in })
        try await measure(
            "one of three workers killed", { $0.workers[1].send(SIGKILL) },
            repair: { $0.workers[1] = try $0.worker("w2", $0.relays[1].port) })
        try await measure(
            "one of three workers stopped", { $0.workers[1].send(SIGSTOP) },
            repair: { cluster in
                try await Deadline.wait(for: "its loss") { try cluster.last.workers == 2 }
                cluster.workers[1].send(SIGCONT)
            })
        try await measure(
            "one of three workers cut off, half-open", { $0.relays[1].stall(seconds: 4) },
            repair: { cluster in try await Deadline.wait(for: "its loss") { try cluster.last.workers == 2 } })
        try await joins()
        try await measure(
            "coordinator killed, and resumed at once",
            { cluster in
                cluster.coordinator.send(SIGKILL)
                while cluster.coordinator.isRunning { usleep(1000) }
                cluster.coordinator = try Execution(
                    ["coordinator", "--run=run", "--resume", "--quiet", "--listen=tcp://127.0.0.1:\(cluster.port)"],
                    in: cluster.folder)
            }, repair: { _ in })
    }

    /// From the start of a process to a step that counts it.
    private func joins() async throws {
        let cluster = try Cluster()
        var times: [Double] = []
        for trial in 0..<Self.trials! {
            try await cluster.settle()
            let start = ContinuousClock.now
            let guest = try cluster.worker("guest\(trial)", cluster.port)
            while try cluster.last.workers < 4 { usleep(1000) }
            times.append((ContinuousClock.now - start) / .milliseconds(1))
            guest.send(SIGTERM)
            _ = try await guest.result()
        }
        report("a process started, to a step with it", times)
    }
}
