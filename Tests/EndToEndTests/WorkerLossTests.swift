import Foundation
import Glibc
import Testing

@Suite("Lost workers", .serialized)
struct WorkerLossTests {
    @Test("A worker that is killed within a step changes no bit", arguments: ["forward", "backward", "result"])
    func injected(phase: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train("--workers=3", "--threads=1", "--inject=kill@step=5,worker=1,phase=\(phase)"), in: folder)
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8).contains("lost w1"))
    }

    @Test("A worker that is killed from outside changes no bit", arguments: [1, 3])
    func killed(workers: Int) async throws {
        let folder = try TinyRun.folder()
        // A stopped worker holds its step open until it is killed, however fast the machine is.
        let training = try Execution(
            TinyRun.train(
                "--workers=\(workers)", "--threads=1", "--worker-timeout=60", "--inject=stop@step=9,worker=1"),
            in: folder)
        var worker: Int32?
        try await Deadline.wait(for: "the worker to stop") {
            worker = try ProcessTable.child(of: training.id, with: "--name=w1")
            return worker.map(ProcessTable.isStopped) ?? false
        }
        #expect(kill(try #require(worker), SIGKILL) == 0)
        let result = try await training.result()
        #expect(result.code == 0, "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        #expect(try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8).contains("lost w1"))
    }

    @Test("A worker that falls silent is lost, and changes no bit")
    func silent() async throws {
        let trace = try await TinyRun.trace(
            "--workers=2", "--threads=1", "--worker-timeout=1", "--inject=stop@step=9,worker=1")
        #expect(try await trace == TinyRun.reference)
    }

    @Test("Killing the trainer leaves no worker behind", arguments: ["", "--inject=stop@step=9,worker=1"])
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
