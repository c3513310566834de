import Foundation
import Testing

/// The Python that `LOCKSTEP_PYTHON` names.
private let python = ProcessInfo.processInfo.environment["LOCKSTEP_PYTHON"]

/// These run where `LOCKSTEP_PYTHON` names a Python that has torch and safetensors.
@Suite(
    "Models exchanged with PyTorch", .serialized,
    .enabled(
        if: python != nil,
        "LOCKSTEP_PYTHON names no Python, such as one that has torch and safetensors"))
struct PyTorchTests {
    private static let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../PyTorch").standardizedFileURL

    /// Runs one of the scripts; what it prints.
    private func script(_ name: String, _ arguments: String...) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(python))
        process.arguments = [Self.scripts.appendingPathComponent(name).path] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("LOCKSTEP_") }
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        process.environment = environment
        try process.run()
        try await Deadline.wait(for: name) { !process.isRunning }
        try #require(process.terminationStatus == 0)
        return String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    @Test("An exported model loads into PyTorch and has the same loss")
    func export() async throws {
        let folder = try TinyRun.folder()
        // Long enough for a carried state to matter, with one character that the model lacks.
        try folder.write(TinyRun.text[..<4000] + Array("é".utf8) + TinyRun.text, to: "other.txt")
        for (run, flags) in [("run", []), ("plain", ["--run=plain", "--no-bias", "--layers=1"])] {
            let training = try await Execution.run(TinyRun.train("--workers=1") + flags, in: folder)
            try #require(training.code == 0, "\(training.errors)")
            let export = try await Execution.run(["export", run, "\(run)-model/"], in: folder)
            try #require(export.code == 0, "\(export.errors)")
            let said = try await script(
                "check_export.py", try Execution.executable.path,
                folder.file("\(run)-model/model.safetensors").path, folder.file("other.txt").path)
            #expect(said.contains("difference"))
            let uncut = try await script(
                "check_export.py", try Execution.executable.path,
                folder.file("\(run)-model/model.safetensors").path, folder.file("other.txt").path, "--uncut")
            #expect(uncut.contains("difference"))
            let validation = try await script(
                "check_validation.py", folder.file(run).path, folder.file("\(run)-model/model.safetensors").path,
                folder.file("text.txt").path)
            #expect(validation.contains("difference"))
        }
    }

    @Test("A model that PyTorch made has the same loss as a run, and trains on")
    func imported() async throws {
        let folder = try TinyRun.folder()
        let text = String(decoding: TinyRun.text[..<3000], as: UTF8.self)
        try folder.write(text.utf8, to: "part.txt")
        let model = folder.file("theirs.safetensors").path
        let theirs = try #require(
            Double(try await script("make_model.py", model, text).trimmingCharacters(in: .whitespacesAndNewlines)))
        let made = try await Execution.run(
            ["import", model, "run", "--prefix=model", "--vocabulary=\(model).json"], in: folder)
        try #require(made.code == 0, "\(made.errors)")
        let evaluation = try await Execution.run(["evaluate", "run", "part.txt", "--json"], in: folder)
        let report = try JSONSerialization.jsonObject(with: Data(evaluation.output.utf8)) as? [String: Any]
        let ours = try #require(report?["loss"] as? Double)
        #expect(abs(ours - theirs) < 1e-5)
        let sample = try await Execution.run(["sample", "run", "--length=20"], in: folder)
        #expect(sample.code == 0 && sample.output.count >= 20)
        let training = try await Execution.run(
            ["train", "text.txt", "--run=run", "--resume", "--batch=16", "--window=16", "--steps=20", "--quiet"],
            in: folder)
        #expect(training.code == 0, "\(training.errors)")
        #expect(try await Trace(run: "run", in: folder).steps.count == 20)
    }
}
