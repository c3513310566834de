import Coordination
import Foundation
import Glibc
import Testing
import ZeroMQ

@Suite("Faults that a coordinator hands out", .serialized)
struct CoordinatorFaultTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TinyRun.folder() }

    /// Kills the first worker in the first step from the sixth on in which it has work: with few shards it may have none.
    private static let plan = (5..<TinyRun.steps).map { "kill@step=\($0),worker=1,phase=backward" }
        .joined(separator: ";")

    private var bus: String { "ipc://\(folder.file("bus").path)" }

    private func coordinator(_ extra: [String], environment: [String: String] = [:]) throws -> Execution {
        try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=\(bus)"] + TinyRun.flags + extra, in: folder,
            environment: environment)
    }

    private func worker(_ name: String, _ extra: String...) throws -> Execution {
        try Execution(["worker", "--connect=\(bus)", "--threads=1", "--name=\(name)"] + extra, in: folder)
    }

    private func log() throws -> String {
        let data = FileManager.default.contents(atPath: folder.file("run/log.txt").path)
        return String(decoding: data ?? Data(), as: UTF8.self)
    }

    private func expect(_ ends: KeyValuePairs<Execution, Int32>) async throws {
        for (process, code) in ends {
            let result = try await process.result()
            #expect(result.code == code, "\(result.errors)")
        }
    }

    @Test(
        "The worker that joined first is killed and no other, by the flag or its variable, and no bit changes",
        arguments: [true, false])
    func first(isFlag: Bool) async throws {
        let plan = Self.plan
        let coordinator = try coordinator(
            ["--minimum-workers=2", "--worker-timeout=60"] + (isFlag ? ["--inject=\(plan)"] : []),
            environment: isFlag ? [:] : ["LOCKSTEP_INJECT": plan])
        // A number in its name is not what counts.
        let first = try worker("w2")
        try await Deadline.wait(for: "the first to join") { try log().contains("w2 joined") }
        let second = try worker("w1")
        try await expect([first: -SIGKILL, second: 0, coordinator: 0])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A place is not used up by who greets anew, or leaves before it joins, and no bit changes")
    func greetsAnew() async throws {
        let (bus, plan) = (bus, Self.plan)
        let coordinator = try coordinator(["--minimum-workers=2", "--worker-timeout=60", "--inject=\(plan)"])
        try await onThread {
            let context = try Context()
            // One process: the second greeting ends the session of the first.
            for isLast in [false, true] {
                var peer = try RawPeer(bus, context: context)
                peer.isFollowing = false
                try peer.greet(name: "waits")
                let message = try peer.hear("a welcome") { if case .welcome = $0 { true } else { false } }
                guard case .welcome(let welcome) = message else { return }
                #expect(welcome.faults == plan)
                guard isLast else { continue }
                try peer.say(.goodbye)
                try peer.say(.statusRequest)
                _ = try peer.hear("a status") { if case .status = $0 { true } else { false } }
            }
        }
        let first = try worker("first")
        try await Deadline.wait(for: "the first to join") { try log().contains("first joined") }
        let second = try worker("second")
        try await expect([first: -SIGKILL, second: 0, coordinator: 0])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("Who joins after a worker was refused for wrong bits is spared, whether that one had joined or not")
    func afterWrongBits() async throws {
        let bus = bus
        let coordinator = try coordinator(["--minimum-workers=2", "--worker-timeout=60", "--inject=slow:2"])
        try await onThread {
            let context = try Context()
            func welcome(_ peer: inout RawPeer, _ name: String) throws -> Welcome? {
                peer.isFollowing = false
                try peer.greet(name: name)
                let message = try peer.hear("a welcome") { if case .welcome = $0 { true } else { false } }
                if case .welcome(let welcome) = message { return welcome }
                return nil
            }
            var liar = try RawPeer(bus, context: context)
            let first = try #require(try welcome(&liar, "liar"))
            #expect(first.faults == "slow:2")
            for _ in 0..<first.snapshotParts {
                _ = try liar.hear("a snapshot") { if case .snapshot = $0 { true } else { false } }
            }
            try liar.say(.applied(Applied(step: 0, digest: 1)))
            #expect(try liar.hearRefusal().code == .replicaDiffers)
            var next = try RawPeer(bus, context: context)
            #expect(try welcome(&next, "next")?.faults == "")
        }
        coordinator.send(SIGINT)
        _ = try await coordinator.result()
    }

    @Test("What strikes all strikes once: who joins after a loss is spared, and no bit changes")
    func all() async throws {
        let coordinator = try coordinator(["--minimum-workers=2", "--worker-timeout=3", "--inject=kill@step=5"])
        try await expect([try worker("first"): -SIGKILL, try worker("second"): -SIGKILL])
        try await Deadline.wait(for: "a loss to be noticed") { try log().contains("lost ") }
        try await expect([try worker("third"): 0, coordinator: 0])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker that goes on with its replica has its own faults and those of the coordinator's next start")
    func restarted() async throws {
        let first = try coordinator(["--checkpoint-every=0", "--worker-timeout=60"])
        // It stops when it begins step 20, each time: the run cannot end before its coordinator is killed.
        let worker = try worker("first", "--inject=stop@step=20,phase=forward")
        try await Deadline.wait(for: "the worker to stop") { ProcessTable.isStopped(worker.id) }
        first.send(SIGKILL)
        _ = try await first.result()
        let second = try Execution(
            [
                "coordinator", "--run=run", "--resume", "--quiet", "--listen=\(bus)", "--worker-timeout=60",
                "--inject=kill@step=30,worker=1",
            ], in: folder)
        worker.send(SIGCONT)
        try await Deadline.wait(for: "the worker to go on with its replica") {
            try worker.errorsSoFar.contains("goes on with its own replica")
        }
        try await Deadline.wait(for: "the worker to stop again") { ProcessTable.isStopped(worker.id) }
        worker.send(SIGCONT)
        try await expect([worker: -SIGKILL, try self.worker("second"): 0, second: 0])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("The command that resumes repeats no faults")
    func resumeCommand() async throws {
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=\(bus)", "--inject=kill@step=5"] + TinyRun.shape,
            in: folder)
        try await Deadline.wait(for: "the run") { try coordinator.errorsSoFar.contains("listening on") }
        coordinator.send(SIGINT)
        let result = try await coordinator.result()
        #expect(result.code == 2)
        #expect(
            result.errorLines.last == "resume with: lockstep coordinator --run run --resume --listen \(bus)",
            "\(result.errors)")
    }

    @Test("A worker says in one line that it does not understand its coordinator's faults")
    func unclear() async throws {
        let result = try await RawCoordinator.runWorker(in: folder) { _, greeting in
            let welcome = Welcome(
                run: 9, term: 1, step: 0, snapshotParts: 1, heartbeatInterval: 250_000_000,
                silenceLimit: 1_500_000_000, configuration: [], faults: "kill;nonsense")
            let envelope = Envelope(
                run: welcome.run, worker: greeting.worker, sequence: 1, acknowledged: greeting.sequence)
            return Wire.encode(.welcome(welcome), envelope)
        }
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1, "\(result.errors)")
        #expect(result.errors.contains("the coordinator's faults") && result.errors.contains("'nonsense'"))
    }
}
