import Foundation
import Glibc
import Testing

@Suite("Disks that fail", .serialized)
struct DiskTests {
    /// Few tensors, so few system calls. Slow steps: a checkpoint that comes while one is still written is left out.
    private static let flags = [
        "text.txt", "--run=run", "--hidden=8", "--layers=1", "--no-bias", "--optimizer=sgd", "--batch=4", "--window=8",
        "--steps=6", "--checkpoint-every=2", "--sample-every=0", "--validation=0", "--workers=1", "--threads=1",
        "--quiet", "--inject=slow:500",
    ]

    /// Kills at the calls `first`, `first + stride`, ... and resumes each.
    ///
    /// - Returns: which of them were reached.
    private static func killAtEach(from first: Int, stride: Int, to last: Int, expecting: Trace) async throws -> [Int] {
        var reached: [Int] = []
        for call in Swift.stride(from: first, through: last, by: stride) {
            let folder = try TinyRun.folder()
            let killed = try await Execution.run(
                ["train"] + flags, in: folder, environment: try DiskFault.environment("kill:\(call)"))
            // Checkpoints that the disk was too slow for are left out, so the last calls may not be reached.
            guard killed.code != 0 else { continue }
            #expect(killed.code == -SIGKILL, "\(killed.errors)")
            reached.append(call)
            let resumed = try await Execution.run(["train", "--run=run", "--resume", "--quiet"], in: folder)
            #expect(resumed.code == 0, "killed at call \(call): \(resumed.errors)")
            #expect(try await Trace(run: "run", in: folder) == expecting, "killed at call \(call)")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("run/checkpoints").path)
            #expect(names.allSatisfy { $0.hasSuffix(".safetensors") }, "\(names)")
        }
        return reached
    }

    @Test("A kill at any system call of a checkpoint leaves what a resume needs")
    func killed() async throws {
        let folder = try TinyRun.folder()
        let whole = try await Execution.run(
            ["train"] + Self.flags, in: folder, environment: try DiskFault.environment("count:\(folder.file("n").path)")
        )
        #expect(whole.code == 0, "\(whole.errors)")
        let expected = try await Trace(run: "run", in: folder)
        let text = try String(contentsOf: folder.file("n"), encoding: .utf8)
        let calls = try #require(Int(text.dropLast()))
        #expect(calls > 20)
        // Two at a time: most of it is waiting. All calls on request, since each takes some seconds.
        let all = ProcessInfo.processInfo.environment["LOCKSTEP_DISK_KILLS"] == "all"
        let reached = try await withThrowingTaskGroup(of: [Int].self) { group in
            for first in all ? [1, 2] : [3, 8] {
                group.addTask {
                    try await Self.killAtEach(from: first, stride: all ? 2 : 10, to: calls, expecting: expected)
                }
            }
            return try await group.reduce([], +)
        }
        // At least those of the first checkpoint.
        #expect(reached.contains { $0 < calls / 3 } && reached.count > 1, "\(reached) of \(calls)")
    }

    @Test(
        "A disk that is full or read-only for a while costs a warning, and later checkpoints and all lines are there",
        arguments: [ENOSPC, EROFS])
    func unwritable(code: Int32) async throws {
        let folder = try TinyRun.folder()
        let flag = folder.file("fails")
        let training = try Execution(
            TinyRun.train(
                "--workers=1", "--threads=1", "--checkpoint-every=10", "--keep=10", "--worker-timeout=60",
                "--inject=stop@step=15,phase=forward;stop@step=25,phase=forward"),
            in: folder, environment: try DiskFault.environment("fail:\(code):\(flag.path)"))
        func log() throws -> String { try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8) }
        let worker = try await training.stoppedWorker()
        try await Deadline.wait(for: "the first checkpoint") { try log().contains("checkpoint of step 10:") }
        let before = try Data(contentsOf: folder.file("run/checkpoints/step-00000010.safetensors"))
        try Data().write(to: flag)
        kill(worker, SIGCONT)
        try await Deadline.wait(for: "the warnings") {
            let text = try log()
            return text.contains("warning: no checkpoint of step 20") && text.contains("cannot write the metrics")
        }
        try FileManager.default.removeItem(at: flag)
        #expect(try await training.stoppedWorker() == worker)
        kill(worker, SIGCONT)
        let result = try await training.result()
        #expect(result.code == 0)
        #expect(result.errorLines.count == 2, "one warning of each kind: \(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("run/checkpoints").path).sorted()
        #expect(names.first == "step-00000010.safetensors" && names.last == "step-00000040.safetensors", "\(names)")
        #expect(!names.contains { $0.contains("step-00000020") || !$0.hasSuffix(".safetensors") }, "\(names)")
        #expect(try Data(contentsOf: folder.file("run/checkpoints/step-00000010.safetensors")) == before)
    }

    @Test("A start on a full disk leaves the count of starts as it was")
    func fullLock() async throws {
        let folder = try TinyRun.folder()
        let first = try await Execution.run(TinyRun.train("--workers=1", "--steps=2"), in: folder)
        try #require(first.code == 0, "\(first.errors)")
        let before = try Data(contentsOf: folder.file("run/.lock"))
        let flag = folder.file("fails")
        try Data().write(to: flag)
        let resumed = try await Execution.run(
            ["train", "--run=run", "--resume", "--steps=4", "--quiet"], in: folder,
            environment: try DiskFault.environment("fail:\(ENOSPC):\(flag.path)"))
        #expect(resumed.code == 1 && resumed.errors.contains("No space left"), "\(resumed.errors)")
        #expect(try Data(contentsOf: folder.file("run/.lock")) == before)
        #expect(!before.isEmpty)
    }

    @Test("Without the lines of metrics on the disk no checkpoint is written")
    func unsynchronised() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train("--workers=1", "--threads=1", "--checkpoint-every=10"), in: folder,
            environment: try DiskFault.environment("sync:\(EIO)"))
        #expect(result.code == 1)
        #expect(try #require(result.errorLines.last).contains("cannot write the metrics: Input/output error"))
        let names = try? FileManager.default.contentsOfDirectory(atPath: folder.file("run/checkpoints").path)
        #expect(names ?? [] == [])
        let lines = try String(contentsOf: folder.file("run/metrics.jsonl"), encoding: .utf8).split(separator: "\n")
        #expect(lines.count == TinyRun.steps)
    }

    @Test("A run whose last checkpoint cannot be written fails, and a resume repeats what was lost")
    func unwritableEnd() async throws {
        let folder = try TinyRun.folder()
        let flag = folder.file("fails")
        let training = try Execution(
            TinyRun.train(
                "--workers=1", "--threads=1", "--worker-timeout=60", "--inject=stop@step=15,phase=forward"),
            in: folder, environment: try DiskFault.environment("fail:\(ENOSPC):\(flag.path)"))
        let worker = try await training.stoppedWorker()
        try Data().write(to: flag)
        kill(worker, SIGCONT)
        let result = try await training.result()
        #expect(result.code == 1)
        let last = try #require(result.errorLines.last)
        #expect(last.hasPrefix("Error: step 40 is the last, and its checkpoint could not be written:"), "\(last)")
        #expect(last.contains("lockstep train --run run --resume"), "\(last)")
        #expect(!result.output.contains("sample from it"))
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        #expect(log.contains("failed: step 40 is the last, and its checkpoint could not be written:"))
        try FileManager.default.removeItem(at: flag)
        let resumed = try await Execution.run(
            ["train", "--run=run", "--resume", "--quiet", "--workers=1", "--threads=1"], in: folder)
        #expect(resumed.code == 0, "\(resumed.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }
}
