import Foundation
import Glibc
import Testing

@Suite("Validation while training", .serialized)
struct ValidationTests {
    struct Validation: Equatable {
        var step: Int
        var loss: Double
    }

    static func validations(_ folder: TemporaryFolder, run: String = "run") throws -> [Validation] {
        let text = try String(contentsOf: folder.file("\(run)/metrics.jsonl"), encoding: .utf8)
        return try text.split(separator: "\n").compactMap { line in
            let values = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            guard let loss = values?["validation_loss"] as? Double else { return nil }
            return Validation(step: try #require(values?["step"] as? Int), loss: loss)
        }
    }

    @Test("Evaluating changes no bit of the training")
    func independent() async throws {
        let never = try await TinyRun.trace("--workers=1", "--evaluate-every=0")
        #expect(never == (try await TinyRun.trace("--workers=2", "--evaluate-every=1")))
    }

    @Test(
        "The held-out text has one loss however many workers share it, and though one dies of it",
        arguments: ["tail", "columns"])
    func shared(split: String) async throws {
        var losses: [[Double]] = []
        // In whichever evaluation it has a part. The workers are slow, so that the run does not end before the loss is
        // noticed.
        let faults = ["--inject=kill@worker=1,phase=evaluation;slow:10"]
        for (flags, isHurt) in [
            (["--workers=1", "--threads=1"], false), (["--workers=3", "--threads=1"], false),
            (["--workers=2", "--threads=2"], false), (["--workers=2", "--threads=1"] + faults, true),
        ] {
            let folder = try TinyRun.folder()
            let all = flags + ["--evaluate-every=10", "--validation=0.2", "--validation-split=\(split)"]
            let result = try await Execution.run(TinyRun.train() + all, in: folder)
            try #require(result.code == 0, "\(result.errors)")
            let found = try Self.validations(folder)
            #expect(found.map(\.step) == [10, 20, 30, 40])
            losses.append(found.map(\.loss))
            let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
            #expect(log.contains("lost w1") == isHurt)
        }
        for other in losses.dropFirst() { #expect(other == losses[0]) }
    }

    @Test(
        "A coordinator that is killed in the evaluation after the last step, and resumed, ends on the same bits and losses",
        arguments: [true, false])
    func coordinatorKilled(keepsWorker: Bool) async throws {
        // The last checkpoint is some steps old. The evaluation is due by the end of the run alone.
        let flags =
            TinyRun.flags + ["--evaluate-every=15", "--validation=0.2", "--checkpoint-every=25", "--worker-timeout=60"]
        let undisturbed = try TinyRun.folder()
        let whole = try await Execution.run(
            ["train", "text.txt", "--run=run", "--workers=1", "--threads=1"] + flags, in: undisturbed)
        try #require(whole.code == 0, "\(whole.errors)")
        let losses = try Self.validations(undisturbed).map(\.loss)
        try #require(losses.count == 3 && losses[1] < losses[0])

        let folder = try TinyRun.folder()
        let address = "ipc://\(folder.file("bus").path)"
        let first = try Execution(["coordinator", "text.txt", "--run=run", "--listen=\(address)"] + flags, in: folder)
        func worker(_ extra: String...) throws -> Execution {
            try Execution(["worker", "--connect=\(address)", "--threads=1"] + extra, in: folder)
        }
        // It stops when it begins to evaluate, each time.
        var last = try worker("--inject=stop@step=\(TinyRun.steps),phase=evaluation")
        // Without the checkpoint of the best step nothing beyond it would be taken over.
        let best = folder.file("run/checkpoints/step-00000030.safetensors").path
        try await Deadline.wait(for: "the last evaluation, the lines of all steps but its own, and the best checkpoint")
        {
            try ProcessTable.isStopped(last.id) && Trace.steps(run: "run", in: folder).count == TinyRun.steps - 1
                && FileManager.default.fileExists(atPath: best)
        }
        first.send(SIGKILL)
        _ = try await first.result()

        let second = try Execution(["coordinator", "--run=run", "--resume", "--listen=\(address)"], in: folder)
        if keepsWorker {
            last.send(SIGCONT)
            try await Deadline.wait(for: "the last evaluation, again") {
                guard second.isRunning else { return true }
                return ProcessTable.isStopped(last.id)
            }
            last.send(SIGCONT)
        } else {
            last.send(SIGKILL)
            last = try worker()
        }
        try await Execution.expectSuccess(of: [second, last])
        #expect(try await Trace(run: "run", in: folder) == Trace(run: "run", in: undisturbed))
        let (found, expected) = try (Self.validations(folder), Self.validations(undisturbed))
        #expect(found.map(\.step) == [15, 30, 40] && found.map(\.loss) == expected.map(\.loss))
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        #expect(log.contains("the workers kept the state after step \(TinyRun.steps)") == keepsWorker)
    }

    @Test(
        "A run that is interrupted in an evaluation makes it when it goes on, and ends as an undisturbed one",
        arguments: [20, TinyRun.steps])
    func interrupted(step: Int) async throws {
        let flags = TinyRun.train("--evaluate-every=10", "--validation=0.2", "--worker-timeout=60", "--workers=1")
        let undisturbed = try TinyRun.folder()
        let whole = try await Execution.run(flags, in: undisturbed)
        try #require(whole.code == 0, "\(whole.errors)")

        let folder = try TinyRun.folder()
        let first = try Execution(flags + ["--inject=stop@step=\(step),phase=evaluation"], in: folder)
        try await Deadline.wait(for: "the worker to stop in the evaluation") {
            guard let worker = try ProcessTable.child(of: first.id, with: "--name=w1") else { return false }
            return try ProcessTable.isStopped(worker) && Trace.steps(run: "run", in: folder).count == step - 1
        }
        first.send(SIGINT)
        #expect(try await first.result().code == 2)
        #expect(try Trace.steps(run: "run", in: folder).count == step)
        #expect(try Self.validations(folder).count == step / 10 - 1)

        let second = try await Execution.run(["train", "--run=run", "--resume", "--quiet", "--workers=2"], in: folder)
        #expect(second.code == 0, "\(second.errors)")
        #expect(try await Trace(run: "run", in: folder) == Trace(run: "run", in: undisturbed))
        let (found, expected) = try (Self.validations(folder), Self.validations(undisturbed))
        #expect(found.map(\.step) == [10, 20, 30, 40] && found.map(\.loss) == expected.map(\.loss))
        // A third start finds nothing left to do.
        let third = try await Execution.run(["train", "--run=run", "--resume"], in: folder)
        #expect(third.code == 0 && third.errors.contains("already finished at step 40"), "\(third.errors)")
    }

    @Test("A run without patience left ends on the same step however many workers it has, and says so")
    func patience() async throws {
        var ends: [Trace] = []
        for workers in 1...2 {
            let folder = try TinyRun.folder()
            // A rate that makes the loss rise before long.
            let flags = ["--steps=400", "--evaluate-every=2", "--patience=3", "--learning-rate=0.3", "--clip=0"]
            let arguments = TinyRun.train("--workers=\(workers)").filter { $0 != "--quiet" } + flags
            let result = try await Execution.run(arguments, in: folder)
            try #require(result.code == 0, "\(result.errors)")
            let found = try Self.validations(folder)
            let best = try #require(found.min { $0.loss < $1.loss })
            #expect(found.count == found.firstIndex { $0.step == best.step }! + 4)
            let trace = try await Trace(run: "run", in: folder)
            let last = try #require(found.last).step
            #expect(last < 400 && trace.steps.map(\.number) == Array(1...last))
            #expect(result.errors.contains("stopped early at step \(last)"), "\(result.errors)")
            let inspected = try await Execution.run(["inspect", "--json", "--best", "run"], in: folder)
            let report = try JSONSerialization.jsonObject(with: Data(inspected.output.utf8)) as? [String: Any]
            #expect(report?["step"] as? Int == best.step && report?["validation_loss"] as? Double == best.loss)
            ends.append(trace)

            let resumed = try await Execution.run(["train", "--run=run", "--resume"], in: folder)
            #expect(resumed.code == 0 && resumed.errorLines.count == 1, "\(resumed.errors)")
            #expect(resumed.errors.contains("already finished: it ended early at step \(last)"), "\(resumed.errors)")
            let patient = try await Execution.run(
                ["train", "--run=run", "--resume", "--quiet", "--patience=5", "--steps=\(last + 100)"], in: folder)
            #expect(patient.code == 0, "\(patient.errors)")
            #expect(try Self.validations(folder).count >= found.count + 2)
        }
        #expect(ends[0] == ends[1])
    }

    @Test("Columns of the rows are held out, and clamped gradients change the run but not with its workers")
    func charRNN() async throws {
        let flags = ["--validation-split=columns", "--validation=0.2", "--clip=0", "--clip-value=0.001"]
        var traces: [Trace] = []
        for workers in 1...2 {
            let folder = try TinyRun.folder()
            let result = try await Execution.run(TinyRun.train("--workers=\(workers)") + flags, in: folder)
            try #require(result.code == 0, "\(result.errors)")
            // 31 windows of 16 x 16: 24 train.
            let configuration =
                try JSONSerialization.jsonObject(
                    with: Data(contentsOf: folder.file("run/run.json"))) as? [String: Any]
            #expect(configuration?["stepsPerEpoch"] as? Int == 24)
            #expect(try Self.validations(folder).map(\.step) == [24, 40])
            traces.append(try await Trace(run: "run", in: folder))
            let other = try await Execution.run(
                ["train", "--run=run", "--resume", "--quiet", "--steps=50", "--validation-split=tail"], in: folder)
            #expect(other.code == 1 && other.errors.contains("--validation-split"), "\(other.errors)")
        }
        #expect(traces[0] == traces[1])
        let free = try await TinyRun.trace("--validation-split=columns", "--validation=0.2", "--clip=0")
        #expect(free.steps[0].loss == traces[0].steps[0].loss && free.steps[0].digest != traces[0].steps[0].digest)
    }

    @Test("Patience without evaluations is refused", arguments: ["--validation=0", "--evaluate-every=0"])
    func needsEvaluations(flag: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train("--patience=2", flag), in: folder)
        #expect(result.code == 64 && result.errors.contains("--patience"), "\(result.errors)")
    }
}
