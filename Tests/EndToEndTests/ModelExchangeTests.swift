import Foundation
import Testing

@Suite("Export, import and a start from a model", .serialized)
struct ModelExchangeTests {
    private func run(_ arguments: String..., in folder: TemporaryFolder) async throws -> Execution.Result {
        try await Execution.run(arguments, in: folder)
    }

    private func succeed(_ arguments: [String], in folder: TemporaryFolder) async throws -> String {
        let result = try await Execution.run(arguments, in: folder)
        try #require(result.code == 0, "\(result.errors)")
        return result.output
    }

    private func inspect(_ path: String, in folder: TemporaryFolder) async throws -> [String: Any] {
        let output = try await succeed(["inspect", "--json", path], in: folder)
        return try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    }

    @Test("Exported and imported again, a model is the same bits, and every command takes it")
    func roundTrip() async throws {
        let folder = try TinyRun.folder()
        _ = try await succeed(TinyRun.train("--workers=1"), in: folder)
        _ = try await succeed(["export", "run", "out/"], in: folder)
        _ = try await succeed(["export", "run", "out/"], in: folder)
        let configuration =
            try JSONSerialization.jsonObject(with: Data(contentsOf: folder.file("out/config.json"))) as? [String: Any]
        #expect(configuration?["hidden_size"] as? Int == 16 && configuration?["num_hidden_layers"] as? Int == 2)
        #expect(configuration?["dropout"] as? Double == 0.5)
        _ = try await succeed(["import", "out", "again"], in: folder)
        // What dropout an imported model was trained with is not known.
        _ = try await succeed(["export", "again", "twice/"], in: folder)
        let twice =
            try JSONSerialization.jsonObject(with: Data(contentsOf: folder.file("twice/config.json"))) as? [String: Any]
        #expect(twice?["dropout"] as? Double == 0)
        let digest = try await inspect("run", in: folder)["parameters_digest"] as? String
        #expect(digest != nil)
        for path in ["out", "out/model.safetensors", "again"] {
            #expect(try await inspect(path, in: folder)["parameters_digest"] as? String == digest)
        }
        let text = try await succeed(["sample", "run", "--length=50"], in: folder)
        let loss = try await succeed(["evaluate", "run", "text.txt", "--json"], in: folder)
        for path in ["out", "out/model.safetensors", "again"] {
            #expect(try await succeed(["sample", path, "--length=50"], in: folder) == text)
            #expect(try await succeed(["evaluate", path, "text.txt", "--json"], in: folder) == loss)
        }
    }

    @Test("What stands in the way of an export is left alone")
    func inTheWay() async throws {
        let folder = try TinyRun.folder()
        _ = try await succeed(TinyRun.train("--workers=1", "--steps=2"), in: folder)
        let text = try await run("export", "run", "text.txt", in: folder)
        #expect(text.code == 1 && text.errors.contains("text.txt"))
        #expect(try Data(contentsOf: folder.file("text.txt")) == Data(TinyRun.text))
        let checkpoint = "run/checkpoints/step-00000002.safetensors"
        let over = try await run("export", "run", checkpoint, in: folder)
        #expect(over.code == 1 && over.errors.contains(checkpoint))
        try folder.write("{\"model_type\":\"gpt2\"}".utf8, to: "config.json")
        let configuration = try await run("export", "run", "model.safetensors", in: folder)
        #expect(configuration.code == 1 && configuration.errors.contains("config.json"))
        let below = try await run("export", "run", "text.txt/model/", in: folder)
        #expect(below.code == 1 && below.errors.contains("text.txt/model: the folder cannot be made: Not a directory"))
        #expect(!FileManager.default.fileExists(atPath: folder.file("model.safetensors").path))
    }

    @Test("An imported model trains on as a run that was started from it, and resumes")
    func trainsOn() async throws {
        let folder = try TinyRun.folder()
        _ = try await succeed(TinyRun.train("--workers=1"), in: folder)
        _ = try await succeed(["import", "run/checkpoints/step-00000040.safetensors", "imported"], in: folder)
        let withoutText = try await run("train", "--run=imported", "--resume", "--quiet", in: folder)
        #expect(withoutText.code == 1 && withoutText.errors.contains("name one"), "\(withoutText.errors)")
        let flags = ["--batch=16", "--window=16", "--sample-every=0", "--quiet", "--seed=9", "--learning-rate=0.01"]
        _ = try await succeed(
            ["train", "text.txt", "--run=imported", "--resume", "--steps=10", "--workers=2"] + flags, in: folder)
        _ = try await succeed(
            ["train", "--run=imported", "--resume", "--steps=20", "--quiet", "--workers=1"], in: folder)
        _ = try await succeed(
            ["train", "text.txt", "--initialize-from=run", "--run=started", "--steps=20", "--workers=1"] + flags,
            in: folder)
        let imported = try await Trace(run: "imported", in: folder)
        #expect(imported.steps.map(\.number) == Array(1...20))
        #expect(imported == (try await Trace(run: "started", in: folder)))
        let fresh = try await TinyRun.reference
        #expect(imported.steps[0].loss < fresh.steps[0].loss - 0.05)
    }

    @Test("A start from a run whose newest checkpoint is damaged says which it passes over")
    func damaged() async throws {
        let folder = try TinyRun.folder()
        _ = try await succeed(TinyRun.train("--workers=1", "--checkpoint-every=20"), in: folder)
        let name = "step-00000040.safetensors"
        var data = try Data(contentsOf: folder.file("run/checkpoints/\(name)"))
        data[data.count / 2] ^= 4
        try data.write(to: folder.file("run/checkpoints/\(name)"))
        let flags = ["--run=new", "--initialize-from=run", "--steps=2", "--batch=16", "--window=16", "--quiet"]
        let result = try await Execution.run(["train", "text.txt"] + flags, in: folder)
        #expect(result.code == 0)
        #expect(result.errorLines.count == 1, "\(result.errors)")
        #expect(result.errors.hasPrefix("warning: ") && result.errors.contains(name), "\(result.errors)")
    }

    @Test("A start from a model refuses another shape, and names the character that the model lacks")
    func refused() async throws {
        let folder = try TinyRun.folder()
        _ = try await succeed(TinyRun.train("--workers=1", "--steps=2"), in: folder)
        try folder.write(TinyRun.text + Array("Ω".utf8), to: "greek.txt")
        let cases: [(arguments: [String], code: Int32, word: String)] = [
            (["greek.txt", "--initialize-from=run"], 1, "'Ω' (U+03A9)"),
            (["text.txt", "--initialize-from=run", "--hidden=32"], 1, "--hidden"),
            (["text.txt", "--initialize-from=run", "--initializer=torch"], 64, "--initializer"),
            (["text.txt", "--initialize-from=text.txt"], 1, "text.txt"),
        ]
        for (arguments, code, word) in cases {
            let result = try await Execution.run(["train", "--run=new", "--quiet"] + arguments, in: folder)
            #expect(result.code == code && result.errorLines.count == 1, "\(result.errors)")
            #expect(result.errors.contains(word), "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.file("new").path))
        }
    }
}
