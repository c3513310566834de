import Foundation
import Testing

@Suite("Inspection of runs and models", .serialized)
struct InspectTests {
    private func trained() async throws -> TemporaryFolder {
        let folder = try TinyRun.folder()
        let flags = ["--workers=1", "--checkpoint-every=10", "--evaluate-every=10", "--keep=9"]
        let training = try await Execution.run(TinyRun.train("--clip-value=2") + flags, in: folder)
        try #require(training.code == 0, "\(training.errors)")
        return folder
    }

    @Test("A person sees shapes, digests, settings, checkpoints and the curve")
    func view() async throws {
        let folder = try await trained()
        let result = try await Execution.run(["inspect", "run"], in: folder)
        #expect(result.code == 0 && result.errors.isEmpty)
        let trace = try await Trace(run: "run", in: folder)
        let words = [
            "2 LSTM layers of 16 units", "lstm.weight_hh_l1   64 x 16", "step 40 of 40", trace.state,
            try #require(trace.steps.last).digest, "elements clamped to 2.0", "SHA-256", "(best)",
            "step-00000010.safetensors", ". training, o validation", "text.txt: 8,000 characters",
        ]
        for word in words { #expect(result.output.contains(word), "\(word) is not in \(result.output)") }
    }

    @Test("Verification finds a changed byte in any checkpoint, and metrics that say otherwise")
    func verification() async throws {
        let folder = try await trained()
        let sound = try await Execution.run(["inspect", "run", "--verify"], in: folder)
        #expect(sound.code == 0 && sound.output.contains("step-00000020.safetensors: sound"), "\(sound.output)")

        let file = folder.file("run/checkpoints/step-00000020.safetensors")
        var bytes = try Data(contentsOf: file)
        let whole = bytes
        bytes[bytes.count - 5] ^= 4
        try bytes.write(to: file)
        for flags in [[], ["--json"]] {
            let damaged = try await Execution.run(["inspect", "run", "--verify"] + flags, in: folder)
            #expect(damaged.code == 1)
            #expect(damaged.output.contains("is damaged"), "\(damaged.output)")
            #expect(damaged.errors.contains("not sound (step-00000020.safetensors)"), "\(damaged.errors)")
        }
        for flags in [[], ["--json"]] {
            let alone = try await Execution.run(["inspect", file.path, "--verify"] + flags, in: folder)
            #expect(alone.code == 1 && alone.output.contains("is damaged"), "\(alone.output)")
            #expect(alone.errorLines.count == 1, "\(alone.errors)")
        }
        try whole.write(to: file)

        let metrics = folder.file("run/metrics.jsonl")
        let text = try String(contentsOf: metrics, encoding: .utf8)
        let digest = try #require(try await Trace(run: "run", in: folder).steps.first { $0.number == 30 }).digest
        try text.replacing(digest, with: "0123456789abcdef").write(to: metrics, atomically: true, encoding: .utf8)
        let other = try await Execution.run(["inspect", "run", "--verify"], in: folder)
        #expect(
            other.code == 1 && other.output.contains("step-00000030.safetensors: its parameters"), "\(other.output)")
    }

    @Test("A model that is exported verifies, and says what it is")
    func exported() async throws {
        let folder = try await trained()
        _ = try await Execution.run(["export", "run", "model/"], in: folder)
        let result = try await Execution.run(["inspect", "model", "--verify"], in: folder)
        #expect(result.code == 0 && result.output.contains("exported model"), "\(result.errors)")
        #expect(result.output.contains("model.safetensors: sound"))
    }
}
