import Foundation
import Glibc
import Testing

/// `train` at an address where workers of other hosts, here other processes of this one, may join its own.
@Suite("Training that others join", .serialized)
struct OpenTrainingTests {
    private static let keys = "--keys=keys/coordinator"

    /// Trains with one worker of its own at an address that is open to other machines.
    private static func train(_ extra: String...) -> [String] {
        TinyRun.train("--workers=1", "--threads=1", "--listen=tcp://0.0.0.0:0", "--endpoint-file=endpoint") + extra
    }

    private static func worker(_ extra: String...) -> [String] {
        ["worker", "--endpoint-file=endpoint", "--threads=1"] + extra
    }

    /// A text and the keys of a worker, alpha.
    private static func folder() async throws -> TemporaryFolder {
        let folder = try TinyRun.folder()
        let made = try await Execution.run(["keys", "keys", "--worker=alpha"], in: folder)
        try #require(made.code == 0, "\(made.errors)")
        return folder
    }

    private static func log(in folder: TemporaryFolder) -> String {
        (try? String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)) ?? ""
    }

    /// Every file below the folder, with what is in it.
    private static func files(_ folder: URL) throws -> [String: Data] {
        let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        return Dictionary(
            uniqueKeysWithValues: paths.compactMap { path in
                FileManager.default.contents(atPath: folder.appendingPathComponent(path).path).map { (path, $0) }
            })
    }

    @Test(
        "With keys its own workers need none of the user's, who is allowed joins, who is not stays out, and no bit changes"
    )
    func keys() async throws {
        let folder = try await Self.folder()
        _ = try await Execution.run(["keys", "strangers", "--worker=stranger"], in: folder)
        let before = try Self.files(folder.file("keys"))
        let temporary = folder.file("t")
        try FileManager.default.createDirectory(at: temporary, withIntermediateDirectories: false)
        let training = try Execution(
            Self.train(Self.keys, "--minimum-workers=2"), in: folder, environment: ["TMPDIR": temporary.path])
        let stranger = try Execution(
            ["worker", "--endpoint-file=endpoint", "--keys=strangers/stranger"]
                + ["--server-key=keys/coordinator/curve.public"], in: folder)
        try await Deadline.wait(for: "the stranger to be refused") {
            try stranger.errorsSoFar.contains("refused this worker's key")
        }
        // Its own is there already, by a socket and with keys that only this user reaches.
        try await Deadline.wait(for: "w1 to join") { Self.log(in: folder).contains("w1 joined") }
        let made = try FileManager.default.contentsOfDirectory(atPath: temporary.path)
        let own = temporary.appendingPathComponent(try #require(made.first)).path
        var status = stat()
        #expect(stat(own, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(stat("\(own)/keys/curve.secret", &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(try ProcessTable.child(of: training.id, with: "--connect=ipc://\(own)/bus") != nil)
        let ownKey = try String(contentsOfFile: "\(own)/keys/curve.public", encoding: .utf8)

        let alpha = try Execution(Self.worker("--keys=keys/alpha"), in: folder)
        for process in [training, alpha] {
            let result = try await process.result()
            #expect(result.code == 0, "\(result.errors)")
        }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        let log = Self.log(in: folder)
        #expect(log.components(separatedBy: " joined from ").count == 3, "w1 and alpha alone joined: \(log)")
        #expect(log.contains("refused a worker from 127.0.0.1: its key"), "\(log)")
        #expect(try Self.files(folder.file("keys")) == before)
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.path).isEmpty)
        let key = try #require(ownKey.split(separator: "\n").last)
        for (name, data) in try Self.files(folder.file("run")) {
            #expect(data.range(of: Data(key.utf8)) == nil, "\(name) has the key of this run's own workers")
        }
        stranger.send(SIGTERM)
        _ = try await stranger.result()
    }

    @Test(
        "Without keys the address is refused, unless it is insecure: that is warned of, and a worker without keys joins"
    )
    func insecure() async throws {
        let folder = try TinyRun.folder()
        let refused = try await Execution.run(Self.train(), in: folder)
        #expect(refused.code == 64)
        #expect(refused.errorLines.count == 1 && refused.errors.contains("lockstep keys"), "\(refused.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.file("run").path))
        let training = try Execution(Self.train("--insecure", "--minimum-workers=2"), in: folder)
        let other = try Execution(Self.worker("--name=other"), in: folder)
        let result = try await training.result()
        #expect(result.code == 0 && result.errors.contains("warning: --insecure"), "\(result.errors)")
        #expect(try await other.result().code == 0)
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(Self.log(in: folder).contains("other joined from "))
    }

    @Test(
        "Where its own workers are lost for good, the run goes on with those who joined; without any it fails",
        .timeLimit(.minutes(3)))
    func ownLost() async throws {
        for hasOther in [true, false] {
            let folder = try await Self.folder()
            let training = try Execution(
                Self.train(Self.keys, "--steps=100000000", "--minimum-workers=\(hasOther ? 2 : 1)"), in: folder)
            // Of the same name as its own.
            let other = hasOther ? try Execution(Self.worker("--keys=keys/alpha", "--name=w1"), in: folder) : nil
            try await Deadline.wait(for: "a step") { try !Trace.steps(run: "run", in: folder).isEmpty }
            let said = hasOther ? "warning: worker w1 is not started again" : "no worker process is left"
            try await Deadline.wait(for: "w1 to be given up") {
                if let own = try ProcessTable.child(of: training.id, with: "--name=w1") { kill(own, SIGKILL) }
                return try training.errorsSoFar.contains(said)
            }
            if hasOther {
                let step = try Trace.last(run: "run", in: folder).step
                try await Deadline.wait(for: "more steps") { try Trace.last(run: "run", in: folder).step > step + 20 }
                training.send(SIGTERM)
            }
            #expect(try await training.result().code == (hasOther ? 2 : 1))
            guard let result = try await other?.result() else { continue }
            // It was told to finish, and not taken for its namesake before.
            #expect(result.code == 0)
            #expect(result.errors.components(separatedBy: "joined the run").count == 2, "\(result.errors)")
        }
    }

    @Test("When it is killed, workers of others wait for the next start, and no bit changes")
    func killed() async throws {
        let folder = try await Self.folder()
        let stop = "--inject=stop@step=20,phase=forward"
        let training = try Execution(
            Self.train(Self.keys, "--minimum-workers=2", "--checkpoint-every=8", "--worker-timeout=60", stop),
            in: folder)
        let other = try Execution(Self.worker("--keys=keys/alpha", "--name=other", stop), in: folder)
        let own = try await training.stoppedWorker()
        try await Deadline.wait(for: "the other one to stop") { ProcessTable.isStopped(other.id) }
        let address = try String(contentsOf: folder.file("endpoint"), encoding: .utf8).trimmingCharacters(in: .newlines)
        training.send(SIGKILL)
        _ = try await training.result()
        for worker in [own, other.id] { kill(worker, SIGCONT) }
        let next = try Execution(
            [
                "train", "--run=run", "--resume", "--workers=1", "--threads=1", "--minimum-workers=2", "--quiet",
                Self.keys,
            ]
                + ["--listen=\(address)", "--worker-timeout=60"], in: folder)
        // It stops at step 20 each time.
        try await Deadline.wait(for: "the other one to end") {
            kill(other.id, SIGCONT)
            return !other.isRunning
        }
        for process in [next, other] {
            let result = try await process.result()
            #expect(result.code == 0, "\(result.errors)")
        }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(Self.log(in: folder).components(separatedBy: "other joined from ").count == 3)
    }

    @Test("An address within the machine leaves its own workers their private socket")
    func loopback() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(Self.train("--listen=tcp://127.0.0.1:0", "--minimum-workers=2"), in: folder)
        var command = ""
        try await Deadline.wait(for: "w1") {
            guard let own = try ProcessTable.child(of: training.id, with: "--name=w1") else { return false }
            command = String(
                decoding: FileManager.default.contents(atPath: "/proc/\(own)/cmdline") ?? Data(), as: UTF8.self)
            return command.contains("--connect")
        }
        #expect(command.contains("--connect=ipc://") && !command.contains("--keys"), "\(command)")
        let other = try Execution(Self.worker(), in: folder)
        for process in [training, other] { #expect(try await process.result().code == 0) }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("An interrupted run says how to go on at the same address with the same keys")
    func resumeCommand() async throws {
        let folder = try await Self.folder()
        let training = try Execution(
            Self.train(Self.keys, "--steps=100000000").filter { $0 != "--quiet" }, in: folder)
        try await Deadline.wait(for: "a step") { try !Trace.steps(run: "run", in: folder).isEmpty }
        let address = try String(contentsOf: folder.file("endpoint"), encoding: .utf8).trimmingCharacters(in: .newlines)
        training.send(SIGINT)
        let result = try await training.result()
        #expect(result.code == 2)
        #expect(result.errors.contains("listening on \(address)"), "\(result.errors)")
        #expect(
            result.errors.contains(
                "resume with: lockstep train --run run --resume --listen \(address) --endpoint-file endpoint --keys "
                    + "keys/coordinator --workers 1 --threads 1\n"), "\(result.errors)")
    }
}
