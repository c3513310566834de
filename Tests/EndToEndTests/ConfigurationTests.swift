import Foundation
import Testing

@Suite("Settings of another run")
struct ConfigurationTests {
    @Test("A run from another's run.json trains on its text, to the same bits")
    func sameText() async throws {
        let folder = try TinyRun.folder()
        let first = try await Execution.run(TinyRun.train("--workers=1", "--steps=3"), in: folder)
        try #require(first.code == 0, "\(first.errors)")
        let arguments = ["train", "--config=run/run.json", "--run=again", "--quiet"]
        let second = try await Execution.run(arguments, in: folder)
        #expect(second.code == 0, "\(second.errors)")
        #expect(try await Trace(run: "again", in: folder) == Trace(run: "run", in: folder))
    }

    @Test("A text that is gone or changed is refused in one line, and may be named all the same")
    func otherText() async throws {
        let folder = try TinyRun.folder()
        let first = try await Execution.run(TinyRun.train("--workers=1", "--steps=3"), in: folder)
        try #require(first.code == 0, "\(first.errors)")
        let arguments = ["train", "--config=run/run.json", "--run=again", "--quiet"]
        try FileManager.default.moveItem(at: folder.file("text.txt"), to: folder.file("moved.txt"))
        let gone = try await Execution.run(arguments, in: folder)
        #expect(gone.code == 1 && gone.errorLines.count == 1, "\(gone.errors)")
        #expect(gone.errors.contains("run/run.json") && gone.errors.contains("does not exist"), "\(gone.errors)")
        try folder.write(TinyRun.text + [10], to: "text.txt")
        let changed = try await Execution.run(arguments, in: folder)
        #expect(changed.code == 1 && changed.errorLines.count == 1, "\(changed.errors)")
        #expect(changed.errors.contains("SHA-256") && changed.errors.contains("text.txt"), "\(changed.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.file("again").path))
        let named = try await Execution.run(arguments + ["text.txt"], in: folder)
        #expect(named.code == 0, "\(named.errors)")
    }
}
