import Foundation
import Testing

@Suite("Evaluation of a model on a text", .serialized)
struct EvaluateTests {
    private struct Report: Decodable, Equatable {
        var loss: Double
        var bitsPerCharacter: Double
        var perplexity: Double
        var characters: Int
        var unknownCharacters: Int
    }

    /// A trained run, and a text of some segments with three characters that it does not know.
    private func folder() async throws -> TemporaryFolder {
        let folder = try TinyRun.folder()
        let training = try await Execution.run(TinyRun.train("--workers=1"), in: folder)
        try #require(training.code == 0, "\(training.errors)")
        let unknown = Array("Zé\u{1F600}".utf8)
        try folder.write(
            TinyRun.text[..<3000] + unknown + TinyRun.text[3000...] + TinyRun.text + TinyRun.text, to: "other.txt")
        return folder
    }

    private func evaluate(
        _ flags: String..., in folder: TemporaryFolder, environment: [String: String] = [:]
    ) async throws -> Report {
        let result = try await Execution.run(
            ["evaluate", "run", "other.txt", "--json"] + flags, in: folder, environment: environment)
        try #require(result.code == 0, "\(result.errors)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Report.self, from: Data(result.output.utf8))
    }

    @Test("Workers, threads and instruction sets change no bit, and unknown characters are counted")
    func invariant() async throws {
        let folder = try await folder()
        let first = try await evaluate("--threads=1", in: folder)
        #expect(first.unknownCharacters == 3)
        #expect(first.characters == 3 * TinyRun.text.count - 1)
        #expect(first.bitsPerCharacter == first.loss / log(2))
        #expect(abs(first.perplexity - exp(first.loss)) < 1e-12 * first.perplexity)
        #expect(first.loss > 0.5 && first.loss < log(30))
        #expect(try await evaluate("--threads=3", in: folder) == first)
        #expect(try await evaluate("--workers=2", in: folder) == first)
        // More workers than segments: some have nothing to do.
        #expect(try await evaluate("--workers=9", "--threads=1", in: folder) == first)
        #expect(try await evaluate("--threads=1", in: folder, environment: ["LOCKSTEP_ISA": "baseline"]) == first)
        let stateless = try await evaluate("--stateless", "--window=10", in: folder)
        #expect(stateless.loss > first.loss && stateless.characters == first.characters)
        #expect(try await evaluate("--stateless", "--window=10", "--workers=3", in: folder) == stateless)
        #expect(try await evaluate("--stateless", in: folder) != stateless)
    }

    @Test("The surprisals have a line for each character and add up to the loss")
    func surprise() async throws {
        let folder = try await folder()
        let report = try await evaluate("--surprise=one.tsv", in: folder)
        #expect(try await evaluate("--surprise=two.tsv", "--workers=2", in: folder) == report)
        let text = try String(contentsOf: folder.file("one.tsv"), encoding: .utf8)
        #expect(try String(contentsOf: folder.file("two.tsv"), encoding: .utf8) == text)
        let lines = text.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
        #expect(lines[0] == ["offset", "character", "nats"])
        let source = try String(contentsOf: folder.file("other.txt"), encoding: .utf8).unicodeScalars
        try #require(lines.count == source.count + 1)
        for (index, (line, scalar)) in zip(lines.dropFirst(), source).enumerated() {
            #expect(line[0] == "\(index)" && line[1] == (scalar == "\n" ? "\\n" : String(scalar)))
        }
        let unscored = lines.dropFirst().filter { $0[2].isEmpty }.map { String($0[1]) }
        #expect(unscored == [String(source.first!), "Z", "é", "\u{1F600}"])
        let nats = lines.dropFirst().compactMap { Double($0[2]) }
        #expect(nats.count == report.characters)
        #expect(abs(nats.reduce(0, +) / Double(nats.count) - report.loss) < 1e-12)
    }

    @Test("One pass over the whole text is another number than that of the segments, and hardly so")
    func uncut() async throws {
        let folder = try await folder()
        let segments = try await evaluate(in: folder)
        let whole = try await evaluate("--uncut", in: folder)
        #expect(whole.characters == segments.characters && whole.unknownCharacters == segments.unknownCharacters)
        #expect(whole.loss != segments.loss && abs(whole.loss - segments.loss) < 1e-3)
        #expect(try await evaluate("--uncut", "--threads=3", in: folder) == whole)
        for other in ["--workers=2", "--stateless"] {
            let result = try await Execution.run(["evaluate", "run", "other.txt", "--uncut", other], in: folder)
            #expect(result.code == 64 && result.errors.contains("--uncut"), "\(result.errors)")
        }
    }

    @Test(
        "Interrupted, it ends by the signal, and leaves neither a folder nor a process", arguments: [SIGINT, SIGTERM])
    func interrupted(signal: Int32) async throws {
        let folder = try await folder()
        try folder.write((0..<1000).flatMap { _ in TinyRun.text }, to: "long.txt")
        let temporary = folder.file("temporary")
        try FileManager.default.createDirectory(at: temporary, withIntermediateDirectories: true)
        let evaluation = try Execution(
            ["evaluate", "run", "long.txt", "--workers=2", "--threads=1"], in: folder,
            environment: ["TMPDIR": temporary.path])
        func left() throws -> [String] { try FileManager.default.subpathsOfDirectory(atPath: temporary.path) }
        try await Deadline.wait(for: "both workers to write") { try left().count == 3 }
        let workers = try ProcessTable.children(of: evaluation.id)
        #expect(workers.count == 2)
        evaluation.send(signal)
        let result = try await evaluation.result()
        #expect(result.code == -signal && result.output.isEmpty)
        #expect(try left() == [])
        try await Deadline.wait(for: "the workers to end", seconds: 3) {
            !workers.contains(where: ProcessTable.isRunning)
        }
    }

    @Test("What cannot be scored is refused in one line")
    func refused() async throws {
        let folder = try await folder()
        try folder.write("t".utf8, to: "one.txt")
        try folder.write("ZZZ".utf8, to: "unknown.txt")
        for (text, word) in [("one.txt", "too few"), ("unknown.txt", "no character"), ("none.txt", "does not exist")] {
            let result = try await Execution.run(["evaluate", "run", text], in: folder)
            #expect(result.code == 1 && result.errorLines.count == 1 && result.output.isEmpty)
            #expect(result.errors.contains(text) && result.errors.contains(word), "\(result.errors)")
        }
        let surprise = try await Execution.run(
            ["evaluate", "run", "text.txt", "--surprise=nowhere/file"], in: folder)
        #expect(surprise.code == 1 && surprise.errors.contains("nowhere/file"))
        let itself = try await Execution.run(["evaluate", "run", "text.txt", "--surprise=./text.txt"], in: folder)
        #expect(itself.code == 1 && itself.errors.contains("text.txt"))
        #expect(try Data(contentsOf: folder.file("text.txt")) == Data(TinyRun.text))
    }
}
