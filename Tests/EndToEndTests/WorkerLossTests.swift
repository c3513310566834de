import Foundation
import Glibc
import Testing

@Suite("Lost workers", .serialized)
struct WorkerLossTests {
    @Test("A worker that is killed within a step changes no bit", arguments: ["forward", "backward", "result"])
    func injected(phase: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            // In the first step, in which each has a share. The others are slow, so that the run does not end before
            // the loss is noticed.
            TinyRun.train("--workers=3", "--threads=1", "--inject=kill@worker=1,phase=\(phase);slow:20"),
            in: folder)
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8).contains("lost w1"))
    }

    @Test("A worker that is killed from outside changes no bit", arguments: [1, 3])
    func killed(workers: Int) async throws {
        let folder = try TinyRun.folder()
        // Stopped workers hold their step open until one is killed, and started again, however fast the machine is.
        let training = try Execution(
            TinyRun.train(
                "--workers=\(workers)", "--threads=1", "--worker-timeout=60", "--inject=stop@step=9"),
            in: folder)
        #expect(kill(try await training.stoppedWorker(), SIGKILL) == 0)
        let result = try await training.result()
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8).contains("lost w1"))
    }

    @Test("A worker that stands still when the run ends hears of it when it goes on soon")
    func lateAtTheEnd() async throws {
        let folder = try TinyRun.folder()
        let address = "ipc://\(folder.file("bus").path)"
        let coordinator = try Execution(
            [
                "coordinator", "text.txt", "--run=run", "--listen=\(address)", "--minimum-workers=2",
                "--worker-timeout=60",
            ]
                + TinyRun.flags, in: folder)
        let workers = try ["", "--inject=stop@step=\(TinyRun.steps - 1)"].map { fault in
            try Execution(
                ["worker", "--connect=\(address)", "--threads=1", "--retry-for=3s"] + (fault.isEmpty ? [] : [fault]),
                in: folder)
        }
        // Told of the end, the other one goes.
        try await Deadline.wait(for: "the run to end") { !workers[0].isRunning }
        #expect(ProcessTable.isStopped(workers[1].id) && coordinator.isRunning)
        workers[1].send(SIGCONT)
        try await Execution.expectSuccess(of: [coordinator] + workers)
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker is started again though the executable has been taken away")
    func upgraded() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train("--workers=1", "--threads=1", "--worker-timeout=60", "--inject=stop@step=9"), in: folder,
            launcher: ["/bin/sh", "-c", #"cp "$0" lockstep && exec ./lockstep "$@""#])
        let worker = try await training.stoppedWorker()
        try FileManager.default.removeItem(at: folder.file("lockstep"))
        #expect(kill(worker, SIGKILL) == 0)
        let result = try await training.result()
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker that is lost for good before the first step is not waited for", arguments: [SIGKILL, SIGTERM])
    func neverThere(signal: Int32) async throws {
        let folder = try TinyRun.folder()
        // The other one is slow, so that the run does not end before the first is given up, should it once have joined.
        let training = try Execution(
            TinyRun.train("--workers=2", "--threads=1", "--inject=slow:20@worker=2"), in: folder)
        try await Deadline.wait(for: "the run to end") {
            if let worker = try? ProcessTable.child(of: training.id, with: "--name=w1") { kill(worker, signal) }
            return !training.isRunning
        }
        let result = try await training.result()
        #expect(result.code == 0, "\(result.errors)")
        // One that has seen SIGTERM has left; before that it is killed.
        let reason = signal == SIGKILL ? "is not started again, after 4 ends within 10 minutes: " : ""
        #expect(result.errors.contains("warning: worker w1 \(reason)"), "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("With a minimum of workers the first step waits for no more, and no bit changes")
    func minimum() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train("--workers=2", "--threads=1", "--minimum-workers=1"), in: folder)
        // Before it can have joined.
        try await Deadline.wait(for: "the second worker") {
            guard let worker = try ProcessTable.child(of: training.id, with: "--name=w2") else { return false }
            return kill(worker, SIGSTOP) == 0
        }
        let result = try await training.result()
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker that falls silent is lost, and changes no bit")
    func silent() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            // With audits the run cannot go on for long without it: a step that it is to audit waits for it, longer than
            // for its loss.
            TinyRun.train(
                "--workers=2", "--threads=1", "--worker-timeout=1", "--audit=1", "--inject=stop@step=9,worker=1"),
            in: folder)
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8).contains("lost w1 (silent for"))
    }

    @Test("Workers that all stand still are killed and started again, and no bit changes")
    func standing() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train(
                "--workers=2", "--threads=1", "--worker-timeout=0.5", "--heartbeat=0.1", "--inject=stop@step=9"),
            in: folder)
        #expect(result.code == 0, "\(result.errors)")
        #expect(result.errors.contains("does not come back: its process is killed"), "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker that computes wrong gradients is found by an audit and refused, and changes no bit")
    func audited() async throws {
        // One shard: whichever of the two workers holds it, the other audits it in each step.
        let expected = try await TinyRun.trace("--workers=1", "--shards=1")
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train(
                "--workers=2", "--threads=1", "--shards=1", "--audit=1", "--inject=corrupt-gradient@step=9,worker=2"),
            in: folder)
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == expected)
        #expect(try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8).contains("its gradient of step"))
    }

    @Test("A killed coordinator takes over what its workers kept: no step is lost, and no bit changes")
    func coordinatorKilled() async throws {
        let folder = try TinyRun.folder()
        let address = "--listen=ipc://\(folder.file("bus").path)"
        let run = ["text.txt", "--run=run"] + TinyRun.flags + ["--checkpoint-every=0", "--worker-timeout=60", address]
        let first = try Execution(["coordinator"] + run + ["--minimum-workers=2"], in: folder)
        // Both stop when they begin step 20, each time: the run cannot end before its coordinator is killed.
        let workers = try (1...2).map { number in
            try Execution(
                [
                    "worker", "--connect=ipc://\(folder.file("bus").path)", "--threads=1", "--name=w\(number)",
                    "--inject=stop@step=20,phase=forward",
                ], in: folder)
        }
        try await Deadline.wait(for: "both workers to stop") { workers.allSatisfy { ProcessTable.isStopped($0.id) } }
        first.send(SIGKILL)
        _ = try await first.result()
        let lines = try Trace.steps(run: "run", in: folder).count
        #expect(lines > 10)
        let second = try Execution(["coordinator", "--run=run", "--resume", "--quiet", address], in: folder)
        try await Deadline.wait(for: "the run to end") {
            for worker in workers { worker.send(SIGCONT) }
            return !second.isRunning
        }
        let result = try await second.result()
        #expect(result.code == 0, "\(result.errors)")
        for worker in workers { _ = try await worker.result() }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        let kept = log.firstRange(of: "the workers kept the state after step ").map { log[$0.upperBound...] }
        let step = Int((kept ?? "").prefix { $0.isNumber }) ?? 0
        #expect(step >= lines, "\(log)")
    }

    @Test("Killing the trainer leaves no worker behind", arguments: ["", "--inject=stop@worker=1"])
    func parentKilled(extra: String) async throws {
        let folder = try TinyRun.folder()
        let arguments = TinyRun.train("--workers=3", "--threads=1", "--worker-timeout=60", "--steps=1000000")
        let training = try Execution(arguments + (extra.isEmpty ? [] : [extra]), in: folder)
        var workers: [Int32] = []
        try await Deadline.wait(for: "the workers to be at work") {
            workers = try ProcessTable.children(of: training.id)
            let isReady =
                extra.isEmpty
                ? try Trace.steps(run: "run", in: folder).count > 3 : workers.contains(where: ProcessTable.isStopped)
            return workers.count == 3 && isReady
        }
        training.send(SIGKILL)
        try await Deadline.wait(for: "the workers to end", seconds: 3) {
            !workers.contains(where: ProcessTable.isRunning)
        }
    }
}
