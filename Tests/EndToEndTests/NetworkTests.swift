import Foundation
import Glibc
import Testing
import ZeroMQ

@Suite("Coordinator and workers over TCP", .serialized)
struct NetworkTests {
    /// Arguments of a coordinator that writes its address to the file `endpoint`.
    private static func coordinator(_ extra: String...) -> [String] {
        ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint"]
            + TinyRun.flags + extra
    }

    static func endpoint(in folder: TemporaryFolder) async throws -> String {
        var text = ""
        try await Deadline.wait(for: "the endpoint file") {
            text = (try? String(contentsOf: folder.file("endpoint"), encoding: .utf8)) ?? ""
            return text.hasSuffix("\n")
        }
        return String(text.dropLast())
    }

    @Test("Workers that connect over TCP train to the same bits, and end with the run")
    func train() async throws {
        let folder = try TinyRun.folder()
        let arguments = ["worker", "--endpoint-file=endpoint", "--threads=1", "--quiet"]
        // One before the coordinator, one after it: the order does not matter.
        let first = try Execution(arguments + ["--name=first"], in: folder)
        let coordinator = try Execution(Self.coordinator("--minimum-workers=2"), in: folder)
        let address = try await Self.endpoint(in: folder)
        let second = try Execution(["worker", "--connect=\(address)", "--threads=1", "--quiet"], in: folder)
        for process in [coordinator, first, second] {
            let result = try await process.result()
            #expect(result.code == 0)
            #expect(result.errors.isEmpty, "\(result.errors)")
        }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker follows its endpoint file: from an address that is out of date, and to the coordinator's next port")
    func endpointFile() async throws {
        let folder = try TinyRun.folder()
        // Nobody listens there.
        try folder.write(Array("tcp://127.0.0.1:1\n".utf8), to: "endpoint")
        let worker = try Execution(
            [
                "worker", "--endpoint-file=endpoint", "--threads=1", "--name=w1",
                "--inject=stop@step=20,phase=forward",
            ], in: folder)
        try await Deadline.wait(for: "its first attempt") { try worker.errorsSoFar.contains("refuses connections") }
        let first = try Execution(Self.coordinator("--checkpoint-every=10"), in: folder)
        try await Deadline.wait(for: "the worker to stop") { ProcessTable.isStopped(worker.id) }
        first.send(SIGKILL)
        _ = try await first.result()
        let second = try Execution(
            [
                "coordinator", "--run=run", "--resume", "--quiet", "--listen=tcp://127.0.0.1:0",
                "--endpoint-file=endpoint",
            ], in: folder)
        try await Deadline.wait(for: "the run to end") {
            worker.send(SIGCONT)
            return !second.isRunning
        }
        let result = try await second.result()
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await worker.result().code == 0)
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A second coordinator on a port says that the address is in use")
    func busyPort() async throws {
        let folder = try TinyRun.folder()
        let first = try Execution(Self.coordinator(), in: folder)
        let address = try await Self.endpoint(in: folder)
        let second = try await Execution.run(
            ["coordinator", "text.txt", "--run=other", "--listen=\(address)"] + TinyRun.flags, in: folder)
        #expect(second.code == 1)
        #expect(second.errorLines.count == 1)
        #expect(second.errors.contains(address) && second.errors.contains("in use"), "\(second.errors)")
        first.send(SIGINT)
        #expect(try await first.result().code == 2)
    }

    @Test("The command that resumes has the flags that the run folder does not hold, and the port that was picked")
    func resumeCommand() async throws {
        let folder = try TinyRun.folder()
        let coordinator = try Execution(
            [
                "coordinator", "text.txt", "--run=the run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint",
                "--minimum-workers=2", "--audit=0.5", "--dashboard=127.0.0.1:0", "--dashboard-token=0123456789",
            ] + TinyRun.shape, in: folder)
        let address = try await Self.endpoint(in: folder)
        try await Deadline.wait(for: "the run") { try coordinator.errorsSoFar.contains("listening on") }
        coordinator.send(SIGINT)
        let result = try await coordinator.result()
        #expect(result.code == 2)
        #expect(
            result.errorLines.last
                == "resume with: lockstep coordinator --run 'the run' --resume --listen \(address) "
                + "--endpoint-file endpoint --minimum-workers 2 --audit 0.5 --dashboard 127.0.0.1:0 --dashboard-token TOKEN",
            "\(result.errors)")
    }

    @Test("SIGTERM stops the coordinator alone: its worker waits for the next start, and the bits are the same")
    func serviceRestart() async throws {
        let folder = try TinyRun.folder()
        let first = try Execution(Self.coordinator("--worker-timeout=60"), in: folder)
        let address = try await Self.endpoint(in: folder)
        // It stops when it begins step 20, each time: the run cannot end before the signal comes.
        let worker = try Execution(
            ["worker", "--connect=\(address)", "--threads=1", "--inject=stop@step=20,phase=forward"], in: folder)
        try await Deadline.wait(for: "the worker to stop") { ProcessTable.isStopped(worker.id) }
        first.send(SIGTERM)
        #expect(try await first.result().code == 2)
        worker.send(SIGCONT)
        let second = try Execution(
            ["coordinator", "--run=run", "--resume", "--listen=\(address)", "--quiet"], in: folder)
        try await Deadline.wait(for: "the run to end") {
            worker.send(SIGCONT)
            return !second.isRunning
        }
        try await Execution.expectSuccess(of: [second, worker])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test(
        "A worker says at once what it waits for",
        arguments: [
            ("tcp://no-such-host.invalid:5757", "cannot be found"),
            ("tcp://127.0.0.1:1", "refuses connections"),
            ("tcp://[::1]:1", "tcp://[::1]:1 refuses connections"),
            ("ipc:///no/such/bus", "there is no /no/such/bus"),
        ])
    func waits(_ address: String, _ words: String) async throws {
        let folder = try TemporaryFolder()
        let result = try await Execution.run(["worker", "--connect=\(address)", "--retry-for=3s"], in: folder)
        #expect(result.code == 1)
        // Once while it waits, and once when it gives up.
        #expect(result.errorLines.count == 2 && result.errorLines.allSatisfy { $0.contains(words) }, "\(result.errors)")
        #expect(result.errors.contains("waits: ") && result.errors.contains("gave up"), "\(result.errors)")
    }

    @Test("Workers come over IPv6, by number and by name")
    func ipv6() async throws {
        let folder = try TinyRun.folder()
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://[::1]:0", "--endpoint-file=endpoint"]
                + ["--minimum-workers=2"] + TinyRun.flags, in: folder)
        let address = try await Self.endpoint(in: folder)
        #expect(address.hasPrefix("tcp://[::1]:"))
        let port = address.split(separator: ":").last!
        // Where the machine has a name for the address.
        let name = Self.resolves("localhost", to: "::1") ? "localhost" : "[::1]"
        let workers = try [address, "tcp://\(name):\(port)"].map {
            try Execution(["worker", "--connect=\($0)", "--threads=1", "--quiet"], in: folder)
        }
        try await Execution.expectSuccess(of: [coordinator] + workers)
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("Every flag of the worker and the coordinator may come from the environment, and a flag wins")
    func environment() async throws {
        let folder = try TinyRun.folder()
        let made = try await Execution.run(["keys", "keys"], in: folder)
        #expect(made.code == 0)
        let coordinator = try Execution(
            ["coordinator", "text.txt"] + TinyRun.flags, in: folder,
            environment: [
                "LOCKSTEP_LISTEN": "tcp://127.0.0.1:0", "LOCKSTEP_ENDPOINT_FILE": "endpoint", "LOCKSTEP_RUN": "run",
                "LOCKSTEP_KEYS": "keys/coordinator", "LOCKSTEP_HIDDEN": "99", "LOCKSTEP_ALLOW": "",
            ])
        let address = try await Self.endpoint(in: folder)
        let worker = try Execution(
            ["worker", "--connect=\(address)"], in: folder,
            environment: [
                "LOCKSTEP_ENDPOINT_FILE": "no-such-file", "LOCKSTEP_KEYS": "keys/worker", "LOCKSTEP_THREADS": "1",
                "LOCKSTEP_SERVER_KEY": "keys/coordinator/curve.public", "LOCKSTEP_QUIET": "true",
            ])
        for process in [coordinator, worker] {
            let result = try await process.result()
            #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
        }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test(
        "The variables of a worker's flags do not reach the workers that train starts",
        arguments: [["LOCKSTEP_INJECT": "kill@step=5"], ["LOCKSTEP_KEYS": "nowhere", "LOCKSTEP_SERVER_KEY": "none"]])
    func localWorkers(environment: [String: String]) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train("--threads=1"), in: folder, environment: environment)
        try #require(result.code == 0, "\(result.errors)")
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        #expect(!log.contains("lost "), "\(log)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A second trainer on a run folder is refused")
    func lockedFolder() async throws {
        let folder = try TinyRun.folder()
        let first = try Execution(Self.coordinator(), in: folder)
        // The folder's own file of the address: it is written when the folder is locked.
        try await Deadline.wait(for: "the run folder") {
            FileManager.default.fileExists(atPath: folder.file("run/endpoint").path)
        }
        let second = try await Execution.run(["train", "--run=run", "--resume", "--quiet"], in: folder)
        #expect(second.code == 1)
        #expect(second.errorLines.count == 1, "\(second.errors)")
        #expect(second.errors.contains("run: another coordinator is training in this folder"), "\(second.errors)")
        first.send(SIGINT)
        _ = try await first.result()
    }

    @Test("A second coordinator on a run folder leaves the first one's address and trace as they are")
    func lockedFiles() async throws {
        let folder = try TinyRun.folder()
        let first = try Execution(Self.coordinator("--trace=trace.json"), in: folder)
        let address = try await Self.endpoint(in: folder)
        try await Deadline.wait(for: "the trace") {
            FileManager.default.fileExists(atPath: folder.file("trace.json").path)
        }
        let trace = try Data(contentsOf: folder.file("trace.json"))
        let second = try await Execution.run(
            [
                "coordinator", "--run=run", "--resume", "--quiet", "--listen=tcp://127.0.0.1:0",
                "--endpoint-file=endpoint", "--trace=trace.json",
            ], in: folder)
        #expect(second.code == 1 && second.errors.contains("another coordinator is training"), "\(second.errors)")
        #expect(try await Self.endpoint(in: folder) == address)
        #expect(try Data(contentsOf: folder.file("trace.json")).starts(with: trace))
        first.send(SIGINT)
        _ = try await first.result()
    }

    @Test("A worker that is told to stop while it waits for its coordinator's address ends well")
    func stoppedBeforeTheAddress() async throws {
        let folder = try TemporaryFolder()
        let worker = try Execution(["worker", "--endpoint-file=address", "--quiet"], in: folder)
        try await Deadline.wait(for: "the worker to be ready for signals") {
            let status = try String(contentsOfFile: "/proc/\(worker.id)/status", encoding: .utf8)
            return status.contains("lockstep") && !status.contains("SigBlk:\t0000000000000000")
        }
        worker.send(SIGTERM)
        let result = try await worker.result()
        #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    }

    @Test("A variable that says neither yes nor no is refused, and what a run begins from says nothing to its resume")
    func variables() async throws {
        let folder = try TinyRun.folder()
        let unclear = try await Execution.run(["coordinator"], in: folder, environment: ["LOCKSTEP_QUIET": "maybe"])
        #expect(unclear.code == 64 && unclear.errors.contains("LOCKSTEP_QUIET"), "\(unclear.errors)")
        let trained = try await Execution.run(TinyRun.train("--workers=1", "--steps=3"), in: folder)
        try #require(trained.code == 0, "\(trained.errors)")
        // That there is nothing left to do is all that it has to say.
        let resumed = try await Execution.run(
            ["coordinator", "--run=run", "--resume", "--listen=tcp://127.0.0.1:0", "--", "text.txt"], in: folder,
            environment: [
                "LOCKSTEP_CONFIG": "run/run.json", "LOCKSTEP_INITIALIZE_FROM": "run", "LOCKSTEP_SEED": "0",
                "LOCKSTEP_QUIET": "On",
            ])
        #expect(resumed.code == 0 && !resumed.errors.contains("Usage"), "\(resumed.errors)")
    }

    @Test("A worker that finds no coordinator gives up with one line")
    func nobody() async throws {
        let folder = try TemporaryFolder()
        let result = try await Execution.run(
            ["worker", "--connect=ipc://\(folder.file("bus").path)", "--retry-for=1.5s", "--quiet"], in: folder)
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1 && result.errors.contains("gave up"), "\(result.errors)")
        #expect(result.errors.contains("after --retry-for 1.5s: there is no"), "\(result.errors)")
    }

    private static func resolves(_ name: String, to address: String) -> Bool {
        var results: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, nil, &results) == 0 else { return false }
        defer { freeaddrinfo(results) }
        return sequence(first: results!) { $0.pointee.ai_next }.contains { entry in
            numericHost(entry.pointee.ai_addr, entry.pointee.ai_addrlen) == address
        }
    }
}
