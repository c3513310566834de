import Foundation
import Glibc
import Testing

@Suite("Interruption and resumption", .serialized)
struct InterruptionTests {
    @Test(
        "Interrupted and resumed with other workers, a run ends on the same bits",
        arguments: [SIGINT, SIGTERM, SIGHUP])
    func resume(signal: Int32) async throws {
        // Whoever started the tests may have it ignored, and processes inherit that.
        if signal == SIGHUP { Glibc.signal(SIGHUP, SIG_DFL) }
        let folder = try TinyRun.folder()
        // Stopped workers keep the run from ending before the signal comes; one alone would be speculated on.
        let training = try Execution(
            TinyRun.train(
                "--workers=2", "--threads=1", "--minimum-workers=1", "--worker-timeout=60", "--inject=stop@step=20"
            ).filter { $0 != "--quiet" }, in: folder)
        _ = try await training.stoppedWorker()
        training.send(signal)
        let result = try await training.result()
        #expect(result.code == 2, "\(result.errors)")
        let command = "lockstep train --run run --resume --threads 1 --minimum-workers 1 --worker-timeout 60.0\n"
        #expect(result.errors.contains("resume with: \(command)"), "\(result.errors)")
        let interrupted = try await Trace(run: "run", in: folder)
        // The worker stops when it begins the next one.
        #expect(interrupted.steps.count == 20)
        #expect(try await interrupted.steps == Array(TinyRun.reference.steps.prefix(20)))

        let resumed = try await Execution.run(
            ["train", "--run=run", "--resume", "--workers=3", "--threads=1", "--quiet"], in: folder)
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(resumed.errors.isEmpty, "\(resumed.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A SIGTERM that is sent twice, as service managers do, does not cost the checkpoint")
    func twice() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train(
                "--workers=2", "--threads=1", "--worker-timeout=60", "--checkpoint-every=0", "--inject=stop@step=20"),
            in: folder)
        _ = try await training.stoppedWorker()
        for _ in 0..<2 {
            training.send(SIGTERM)
            try await Task.sleep(for: .milliseconds(1))
        }
        let result = try await training.result()
        #expect(result.code == 2, "\(result.errors)")
        #expect(FileManager.default.fileExists(atPath: folder.file("run/checkpoints/step-00000020.safetensors").path))
    }

    @Test("A run whose trainer was killed goes on from its checkpoint to the same bits")
    func killed() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train(
                "--workers=2", "--threads=1", "--worker-timeout=60", "--checkpoint-every=8",
                "--inject=stop@step=20"), in: folder)
        _ = try await training.stoppedWorker()
        training.send(SIGKILL)
        #expect(try await training.result().code == -SIGKILL)

        let resumed = try await Execution.run(["train", "--run=run", "--resume", "--workers=1", "--quiet"], in: folder)
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test(
        "A damaged newest checkpoint is skipped by name, and the run still ends on the same bits",
        arguments: Damage.allCases)
    func damaged(damage: Damage) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train("--workers=2", "--checkpoint-every=10"), in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let newest = "step-\(String(repeating: "0", count: 6))\(TinyRun.steps).safetensors"
        let file = folder.file("run/checkpoints/\(newest)")
        var data = try Data(contentsOf: file)
        switch damage {
        case .truncated: data.removeLast(100)
        case .empty: data.removeAll()
        case .flippedBit: data[data.count / 2] ^= 4
        }
        try data.write(to: file)

        let resumed = try await Execution.run(["train", "--run=run", "--resume", "--workers=3", "--quiet"], in: folder)
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(resumed.errorLines.count == 1)
        #expect(resumed.errors.hasPrefix("warning: ") && resumed.errors.contains(newest), "\(resumed.errors)")
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        #expect(log.contains(resumed.errorLines[0]), "the log lacks it")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A finished run that is started again says so and ends well, so that nothing restarts it; more steps go on")
    func finished() async throws {
        let folder = try TinyRun.folder()
        let flags = TinyRun.train("--workers=1", "--steps=\(TinyRun.steps - 2)")
        let result = try await Execution.run(flags, in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let coordinator = ["coordinator", "--run=run", "--resume", "--listen=tcp://127.0.0.1:0"]
        for arguments in [coordinator, ["train", "--run=run", "--resume"]] {
            let again = try await Execution.run(arguments, in: folder)
            #expect(again.code == 0 && again.output.isEmpty, "\(again.output)")
            let lines = again.errorLines
            #expect(lines.count == 1 && lines[0].contains("already finished at step 38"), "\(again.errors)")
        }
        let more = try await Execution.run(
            ["train", "--run=run", "--resume", "--steps=\(TinyRun.steps)", "--quiet"], in: folder)
        #expect(more.code == 0, "\(more.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A run whose folder is gone at its end says so, in place of a resume that cannot be")
    func deleted() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train(
                "--workers=1", "--threads=1", "--steps=100000000", "--checkpoint-every=0", "--validation=0"), in: folder
        )
        try await Deadline.wait(for: "a step") { try !Trace.steps(run: "run", in: folder).isEmpty }
        try FileManager.default.moveItem(at: folder.file("run"), to: folder.file("moved"))
        training.send(SIGINT)
        let result = try await training.result()
        #expect(result.code == 1)
        let last = try #require(result.errorLines.last)
        #expect(last.contains("there is no run.json in run any more: begin a new run, or put it back"), "\(last)")
    }

    enum Damage: CaseIterable { case truncated, empty, flippedBit }
}
