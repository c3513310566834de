import Foundation
import Glibc
import Testing

@Suite("Keys", .serialized)
struct KeysTests {
    private static func coordinator(_ extra: String...) -> [String] {
        [
            "coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint",
            "--keys=keys/coordinator",
        ] + TinyRun.flags + extra
    }

    private static func worker(_ extra: String...) -> [String] {
        ["worker", "--endpoint-file=endpoint", "--threads=1"] + extra
    }

    /// A text and the keys of two workers, alpha and beta.
    private static func folder() async throws -> TemporaryFolder {
        let folder = try TinyRun.folder()
        let made = try await Execution.run(["keys", "keys", "--worker=alpha", "--worker=beta"], in: folder)
        try #require(made.code == 0, "\(made.errors)")
        return folder
    }

    private static func log(in folder: TemporaryFolder) -> String {
        (try? String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)) ?? ""
    }

    /// Waits until the worker's standard error has all of these words.
    private static func wait(_ worker: Execution, says words: String...) async throws {
        try await Deadline.wait(for: "a worker to say \(words)") {
            let text = try worker.errorsSoFar
            return words.allSatisfy(text.contains)
        }
    }

    @Test("Whoever has no key, a wrong one or none that is listed stays out and is told why; the run goes on")
    func refusals() async throws {
        let folder = try await Self.folder()
        // A cluster of strangers, and a stranger who knows this coordinator's key.
        _ = try await Execution.run(["keys", "other", "--worker=stranger"], in: folder)
        let coordinator = try Execution(Self.coordinator("--minimum-workers=2"), in: folder)
        let plain = try Execution(Self.worker(), in: folder)
        let unlisted = try Execution(
            Self.worker("--keys=other/stranger", "--server-key=keys/coordinator/curve.public"), in: folder)
        let elsewhere = try Execution(
            Self.worker("--keys=keys/alpha", "--server-key=other/coordinator/curve.public"), in: folder)
        let alpha = try Execution(Self.worker("--keys=keys/alpha"), in: folder)
        try await Self.wait(plain, says: "takes only workers with keys", "--keys")
        try await Self.wait(unlisted, says: "refused this worker's key", "allowlist")
        try await Self.wait(elsewhere, says: "not its present key", "other/coordinator/curve.public")
        // The coordinator names each of them.
        try await Deadline.wait(for: "the coordinator's log") {
            let log = Self.log(in: folder)
            return log.contains("refused a worker from 127.0.0.1: its key") && log.contains("does not know this")
                && log.contains("one side uses CURVE keys and the other does not")
        }
        let beta = try Execution(Self.worker("--keys=keys/beta"), in: folder)
        try await Execution.expectSuccess(of: [coordinator, alpha, beta])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        for process in [plain, unlisted, elsewhere] {
            process.send(SIGTERM)
            _ = try await process.result()
        }
        let log = Self.log(in: folder)
        #expect(log.components(separatedBy: " joined from ").count == 3, "only alpha and beta joined: \(log)")
    }

    @Test("A worker with keys tells a coordinator without them apart")
    func plainCoordinator() async throws {
        let folder = try await Self.folder()
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint"]
                + TinyRun.flags, in: folder)
        let worker = try Execution(Self.worker("--keys=keys/alpha"), in: folder)
        try await Self.wait(worker, says: "uses no keys")
        let plain = try Execution(Self.worker("--quiet"), in: folder)
        try await Execution.expectSuccess(of: [plain, coordinator])
        worker.send(SIGTERM)
        _ = try await worker.result()
    }

    @Test("A key that is added lets its worker in, and one that is removed puts it out, without a restart")
    func live() async throws {
        let folder = try await Self.folder()
        _ = try await Execution.run(["keys", "keys", "--remove=beta"], in: folder)
        let coordinator = try Execution(
            Self.coordinator("--minimum-workers=1", "--steps=1000000"), in: folder)
        let alpha = try Execution(Self.worker("--keys=keys/alpha"), in: folder)
        try await Self.wait(alpha, says: "joined the run")
        // The status takes keys too: a worker's, or the coordinator's own.
        for keys in ["alpha", "coordinator"] {
            let status = try await Execution.run(
                ["status", "--endpoint-file=endpoint", "--json", "--keys=keys/\(keys)"], in: folder)
            #expect(status.code == 0, "\(status.errors)")
        }
        let nameless = try await Execution.run(["status", "--endpoint-file=endpoint"], in: folder)
        #expect(nameless.code == 1 && nameless.errors.contains("--keys"), "\(nameless.errors)")
        // Those of alpha are still in the worker's folder of a copy: only the allowlist loses them.
        let made = try await Execution.run(["keys", "keys", "--worker=gamma"], in: folder)
        #expect(made.code == 0)
        let gamma = try Execution(Self.worker("--keys=keys/gamma"), in: folder)
        try await Self.wait(gamma, says: "joined the run")
        let allow = folder.file("keys/coordinator/allow")
        let lines = try String(contentsOf: allow, encoding: .utf8).split(separator: "\n")
        try folder.write(
            lines.filter { !$0.hasSuffix("alpha") }.joined(separator: "\n").utf8, to: "keys/coordinator/allow")
        try await Self.wait(alpha, says: "no longer, on the coordinator's allowlist", "refused this worker's key")
        try await Deadline.wait(for: "the loss of alpha in the log") {
            Self.log(in: folder).contains("no longer allowed: alpha")
        }
        coordinator.send(SIGINT)
        #expect(try await coordinator.result().code == 2)
        for worker in [alpha, gamma] {
            worker.send(SIGTERM)
            _ = try await worker.result()
        }
    }

    @Test("A new key of the coordinator takes a restart of it alone: running workers read it when they connect")
    func rotation() async throws {
        let folder = try await Self.folder()
        let first = try Execution(Self.coordinator("--steps=1000000"), in: folder)
        let worker = try Execution(Self.worker("--keys=keys/alpha"), in: folder)
        try await Self.wait(worker, says: "joined the run")
        try await Deadline.wait(for: "a step") { try !Trace.steps(run: "run", in: folder).isEmpty }
        let address = try String(contentsOf: folder.file("endpoint"), encoding: .utf8).trimmingCharacters(in: .newlines)
        first.send(SIGINT)
        #expect(try await first.result().code == 2)
        // The worker was told to finish.
        _ = try await worker.result()
        let waiting = try Execution(
            ["worker", "--connect=\(address)", "--threads=1", "--keys=keys/alpha"], in: folder)
        try await Self.wait(waiting, says: "refuses connections")
        let made = try await Execution.run(["keys", "keys", "--new-coordinator"], in: folder)
        #expect(made.code == 0)
        let steps = try Trace.steps(run: "run", in: folder).count + 5
        let second = try Execution(
            [
                "coordinator", "--run=run", "--resume", "--listen=\(address)", "--keys=keys/coordinator", "--quiet",
                "--steps=\(steps)",
            ], in: folder)
        try await Execution.expectSuccess(of: [second, waiting])
    }

    @Test("Beyond this machine a coordinator listens with keys or with --insecure, which warns")
    func exposure() async throws {
        let folder = try await Self.folder()
        let base = ["coordinator", "text.txt", "--run=run", "--listen=tcp://0.0.0.0:0"] + TinyRun.flags
        let refused = try await Execution.run(base, in: folder)
        #expect(refused.code == 64)
        #expect(refused.errorLines.count == 1 && refused.errors.contains("lockstep keys"), "\(refused.errors)")
        for (flag, warns) in [("--insecure", true), ("--keys=keys/coordinator", false)] {
            let coordinator = try Execution(base + [flag, "--endpoint-file=endpoint-\(warns)"], in: folder)
            try await Deadline.wait(for: "the endpoint") {
                FileManager.default.fileExists(atPath: folder.file("endpoint-\(warns)").path)
            }
            coordinator.send(SIGINT)
            let result = try await coordinator.result()
            #expect(result.errors.contains("warning: --insecure") == warns, "\(result.errors)")
            try? FileManager.default.removeItem(at: folder.file("run"))
        }
    }

    @Test("A secret key that others can read stops the coordinator and the worker with one line")
    func readable() async throws {
        let folder = try await Self.folder()
        for name in ["coordinator", "alpha"] { chmod(folder.file("keys/\(name)/curve.secret").path, 0o644) }
        for arguments in [Self.coordinator(), ["worker", "--connect=tcp://127.0.0.1:1", "--keys=keys/alpha"]] {
            let result = try await Execution.run(arguments, in: folder)
            #expect(result.code == 1)
            #expect(result.errorLines.count == 1 && result.errors.contains("chmod 600"), "\(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.file("run").path))
    }
}
