import Foundation
import Glibc
import Testing

@Suite("Samples of a trained run", .serialized)
struct SampleTests {
    @Test("The same seed gives the same text, another seed another")
    func seeds() async throws {
        let folder = try TinyRun.folder()
        let training = try await Execution.run(TinyRun.train("--workers=1"), in: folder)
        try #require(training.code == 0, "\(training.errors)")
        func sample(_ flags: String..., environment: [String: String] = [:]) async throws -> Execution.Result {
            try await Execution.run(["sample", "run", "--length=60"] + flags, in: folder, environment: environment)
        }
        let first = try await sample("--seed=3", "--prime=the ")
        #expect(first.code == 0, "\(first.errors)")
        #expect(first.output.hasPrefix("the "))
        #expect(first.output.count >= 60)
        #expect(try await sample("--seed=3", "--prime=the ").output == first.output)
        let baseline = try await sample("--seed=3", "--prime=the ", environment: ["LOCKSTEP_ISA": "baseline"])
        #expect(baseline.output == first.output)
        #expect(try await sample("--seed=4", "--prime=the ").output != first.output)

        let unknown = try await sample("--prime=the Z")
        #expect(unknown.code == 1)
        #expect(unknown.output.isEmpty)
        #expect(unknown.errorLines.count == 1)
        #expect(unknown.errors.contains("'Z' (U+005A)"), "\(unknown.errors)")
    }

    /// A folder with a trained run.
    private func trained() async throws -> TemporaryFolder {
        let folder = try TinyRun.folder()
        let training = try await Execution.run(TinyRun.train("--workers=1"), in: folder)
        try #require(training.code == 0, "\(training.errors)")
        return folder
    }

    @Test("Samples computed side by side are those of their seeds alone")
    func count() async throws {
        let folder = try await trained()
        func sample(_ flags: String...) async throws -> String {
            let result = try await Execution.run(["sample", "run", "--prime=the", "--length=40"] + flags, in: folder)
            try #require(result.code == 0, "\(result.errors)")
            return result.output
        }
        let alone = try await [sample("--seed=7"), sample("--seed=8"), sample("--seed=9")]
        let together = try await sample("--seed=7", "--count=3")
        #expect(
            together
                == alone.enumerated().map { "--- sample \($0 + 1) of 3, seed \($0 + 7)\n\($1)" }.joined())
        #expect(try await sample("--seed=7", "--count=3", "--threads=2") == together)
        #expect(Set(alone).count == 3)
    }

    @Test("Temperature 0 and top-k of 1 take the likeliest, whatever the seed; an empty prime and length are fine")
    func greedy() async throws {
        let folder = try await trained()
        func sample(_ flags: String...) async throws -> String {
            let result = try await Execution.run(["sample", "run", "--length=30"] + flags, in: folder)
            try #require(result.code == 0, "\(result.errors)")
            return result.output
        }
        let greedy = try await sample("--temperature=0", "--prime=")
        #expect(greedy.unicodeScalars.count == 31)
        #expect(try await sample("--temperature=0", "--seed=5") == greedy)
        #expect(try await sample("--top-k=1", "--seed=6") == greedy)
        #expect(try await sample("--top-p=0.000001", "--seed=7") == greedy)
        #expect(try await sample("--length=0", "--prime=a cat") == "a cat\n")
        let lines = try await sample("--lines", "--length=10")
        #expect(lines.hasSuffix("\n") && lines.dropLast(2).dropFirst(11).contains("\n") == false)
    }

    @Test("Read a line, go on from it, keep the state; an unknown character is named and may be tried again")
    func interactive() async throws {
        let folder = try await trained()
        try folder.write("the \nZ\n\nand\n".utf8, to: "lines.txt")
        let result = try await Execution.run(
            ["sample", "run", "--interactive", "--length=20", "--seed=3"], in: folder, input: "lines.txt")
        #expect(result.code == 0)
        #expect(result.errorLines.count == 1 && result.errors.contains("'Z' (U+005A)"), "\(result.errors)")
        let parts = result.output.split(separator: "\n", omittingEmptySubsequences: false).joined()
        #expect(parts.unicodeScalars.count + result.output.filter { $0 == "\n" }.count == 3 * 21)
        // The first continuation is that of a prime; the second goes on where it stopped.
        try folder.write("the ".utf8, to: "one.txt")
        let first = try await Execution.run(
            ["sample", "run", "--interactive", "--length=40", "--seed=3"], in: folder, input: "one.txt")
        #expect(first.output.prefix(20) == result.output.prefix(20))
        #expect(first.output.dropFirst(20).prefix(20) == result.output.dropFirst(21).prefix(20))
    }

    @Test("An unknown character of the prime is read as a space on request")
    func replaceUnknown() async throws {
        let folder = try await trained()
        let result = try await Execution.run(
            ["sample", "run", "--prime=the\u{e9}", "--replace-unknown", "--length=20"], in: folder)
        #expect(result.code == 0 && result.errors.hasPrefix("warning: 1 character"), "\(result.errors)")
        let plain = try await Execution.run(["sample", "run", "--prime=the ", "--length=20"], in: folder)
        #expect(result.output == plain.output)
    }

    @Test("A pipe that is closed ends the sample without a word")
    func closedPipe() async throws {
        let folder = try await trained()
        let process = Process()
        process.executableURL = try Execution.executable
        process.arguments = ["sample", "run", "--length=1000000000"]
        process.currentDirectoryURL = folder.url
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        try process.run()
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        // It streams: what was asked for would take days.
        #expect(try output.fileHandleForReading.read(upToCount: 10)?.count ?? 0 > 0)
        try output.fileHandleForReading.close()
        try await Deadline.wait(for: "the sample to end") { !process.isRunning }
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        #expect(try errors.fileHandleForReading.readToEnd() ?? Data() == Data())
    }

    @Test("A terminal gets a vocabulary's control characters made visible; a file gets the text as it is")
    func terminal() async throws {
        let folder = try TemporaryFolder()
        let prime = "a\u{1B}[31m\u{7F}\u{9B}b\r\n\tc"
        try folder.write(String(repeating: prime, count: 1000).utf8, to: "text.txt")
        let training = try await Execution.run(TinyRun.train("--workers=1", "--steps=1"), in: folder)
        try #require(training.code == 0, "\(training.errors)")
        let arguments = ["sample", "run", "--prime=\(prime)", "--length=0"]
        #expect(try await Execution.run(arguments, in: folder).output == prime + "\n")

        // Both ends stay open until it is read: the last close would lose what waits there.
        var (master, terminal): (Int32, Int32) = (-1, -1)
        try #require(openpty(&master, &terminal, nil, nil, nil) == 0)
        defer { for end in [master, terminal] { close(end) } }
        let shown = try Execution(
            arguments, in: folder, environment: ["TERMINAL": String(cString: ttyname(terminal))],
            launcher: ["/bin/sh", "-c", #"exec "$0" "$@" > "$TERMINAL""#])
        #expect(try await shown.result().code == 0)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(master, &bytes, bytes.count)
        // The terminal puts a carriage return before each line end.
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        #expect(
            Array(text.unicodeScalars) == Array("a\u{FFFD}[31m\u{FFFD}\u{FFFD}b\r\r\n\tc\r\n".unicodeScalars), "\(text)"
        )
    }
}
