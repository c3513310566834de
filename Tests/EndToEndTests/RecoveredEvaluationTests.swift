import Foundation
import Glibc
import Testing

@Suite("Evaluations that a dead coordinator left behind", .serialized)
struct RecoveredEvaluationTests {
    /// A rate that makes the loss rise before long.
    private static let flags =
        TinyRun.flags + ["--steps=400", "--evaluate-every=2", "--learning-rate=0.3", "--clip=0", "--worker-timeout=60"]
    private static let patience = 3

    private struct Ending: Equatable {
        var trace: Trace
        var validations: [ValidationTests.Validation]
        var best: Int?

        init(_ folder: TemporaryFolder) async throws {
            trace = try await Trace(run: "run", in: folder)
            validations = try ValidationTests.validations(folder)
            let inspected = try await Execution.run(["inspect", "--json", "--best", "run"], in: folder)
            let report = try JSONSerialization.jsonObject(with: Data(inspected.output.utf8)) as? [String: Any]
            best = report?["step"] as? Int
        }
    }

    private static let undisturbed = Task {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            ["train", "text.txt", "--run=run", "--workers=1", "--threads=1", "--patience=\(patience)"] + flags,
            in: folder)
        try #require(result.code == 0, "\(result.errors)")
        return try await Ending(folder)
    }

    /// Where the worker stood when the coordinator died, and what that had not written yet.
    enum Death: CaseIterable {
        /// The line of an evaluation, two steps back and just now.
        case withoutLine, withoutNewestLine
        /// The checkpoint of the step that exhausts patience.
        case beyondTheEnd, atTheEnd
        /// The checkpoint of the best step.
        case beyondTheBest, atTheBest

        /// Steps after the best one, of the last that was committed.
        var committed: Int {
            switch self {
            case .withoutLine: 3
            case .withoutNewestLine: 2
            case .beyondTheEnd: 2 * patience + 1
            case .atTheEnd: 2 * patience
            case .beyondTheBest: 1
            case .atTheBest: 0
            }
        }
        /// Of the last one on record.
        var recorded: Int { [.withoutLine, .withoutNewestLine].contains(self) ? 1 : committed }
        var losesBest: Bool { [.beyondTheBest, .atTheBest].contains(self) }
        var isTakenOver: Bool { [.withoutNewestLine, .atTheEnd, .atTheBest].contains(self) }
    }

    /// A run whose coordinator was killed while its worker stood at a step.
    private struct Killed {
        let folder: TemporaryFolder
        let address: String
        let worker: Execution

        init(best: Int, committed: Int, recorded: Int, losesBest: Bool) async throws {
            folder = try TinyRun.folder()
            address = "ipc://\(folder.file("bus").path)"
            let step = best + committed
            let first = try Execution(
                ["coordinator", "text.txt", "--run=run", "--listen=\(address)"] + flags, in: folder)
            worker = try Execution(
                ["worker", "--connect=\(address)", "--threads=1", "--inject=stop@step=\(step)"], in: folder)
            let (folder, id) = (self.folder, worker.id)
            let checkpoint = folder.file("run/checkpoints/step-\(String(format: "%08d", best)).safetensors").path
            try await Deadline.wait(for: "all that the coordinator writes before it is killed") {
                try ProcessTable.isStopped(id) && Trace.steps(run: "run", in: folder).count == step
                    && access(checkpoint, F_OK) == 0
            }
            first.send(SIGKILL)
            _ = try await first.result()
            if losesBest { unlink(checkpoint) }
            let metrics = folder.file("run/metrics.jsonl")
            let lines = try String(contentsOf: metrics, encoding: .utf8).split(separator: "\n")
            try Data(lines.prefix(best + recorded).joined(separator: "\n").utf8 + [10]).write(to: metrics)
        }

        /// Ends the run with another coordinator.
        ///
        /// - Returns: its log.
        func goOn(_ extra: String...) async throws -> String {
            let second = try Execution(
                ["coordinator", "--run=run", "--resume", "--listen=\(address)"] + extra, in: folder)
            // It stops each time that it comes to this step.
            try await Deadline.wait(for: "the end of the run") {
                worker.send(SIGCONT)
                return !second.isRunning
            }
            try await Execution.expectSuccess(of: [second, worker])
            return try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        }
    }

    @Test(
        "A restarted coordinator makes every evaluation, keeps the best state and ends where an undisturbed one does",
        arguments: Death.allCases)
    func recovered(death: Death) async throws {
        let expected = try await Self.undisturbed.value
        let best = try #require(expected.best)
        try #require(best > 2 && expected.trace.steps.count == best + 2 * Self.patience)
        let killed = try await Killed(
            best: best, committed: death.committed, recorded: death.recorded, losesBest: death.losesBest)
        let log = try await killed.goOn("--patience=\(Self.patience)")
        #expect(try await Ending(killed.folder) == expected)
        let isTakenOver = log.contains("the workers kept the state after step \(best + death.committed)")
        #expect(isTakenOver == death.isTakenOver)
    }

    @Test("The best state is kept though only a clock asks for evaluations when the run goes on")
    func clock() async throws {
        let expected = try await Self.undisturbed.value
        let best = try #require(expected.best)
        let killed = try await Killed(best: best, committed: 0, recorded: 0, losesBest: true)
        let last = best + 2 * Self.patience
        let log = try await killed.goOn("--evaluate-every=1000s", "--steps=\(last)")
        #expect(log.contains("the workers kept the state after step \(best)"))
        let ending = try await Ending(killed.folder)
        #expect(ending.best == best)
        #expect(ending.validations == expected.validations.filter { $0.step <= best || $0.step == last })
    }
}
