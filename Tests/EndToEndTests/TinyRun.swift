import Foundation
import Testing

/// The run that all of these tests make, in their own ways: small, but past the end of an epoch, and with dropout.
enum TinyRun {
    static let steps = 40
    /// The steps of an epoch are fewer than `steps`.
    static let characters = 8000
    static let shape = ["--hidden=16", "--layers=2", "--batch=16", "--window=16"]
    static let flags = shape + ["--steps=\(steps)", "--sample-every=0", "--quiet"]

    /// A text of words in no order, the same each time.
    static let text: [UInt8] = {
        let words = "the cat sat on a mat and then ran far into green fields, where small birds sing".split(
            separator: " ")
        var state: UInt32 = 1
        var text: [UInt8] = []
        while text.count < characters {
            state = state &* 1_664_525 &+ 1_013_904_223
            text += words[Int(state >> 16) % words.count].utf8
            text.append(state >> 29 == 0 ? 10 : 32)
        }
        return text
    }()

    /// A new folder with the text in it, as `text.txt`.
    static func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write(text, to: "text.txt")
        return folder
    }

    /// Arguments that train into `run` below the working folder.
    static func train(_ extra: String...) -> [String] { ["train", "text.txt", "--run=run"] + flags + extra }

    /// Trains with `extra` flags in a folder of its own.
    static func trace(
        _ extra: String..., environment: [String: String] = [:], seconds: Double = Deadline.seconds
    ) async throws -> Trace {
        let folder = try folder()
        let result = try await Execution.run(
            ["train", "text.txt", "--run=run"] + flags + extra, in: folder, environment: environment, seconds: seconds)
        try #require(result.code == 0, "\(result.errors)")
        return try await Trace(run: "run", in: folder)
    }

    private static let referenceTask = Task { try await trace("--workers=1", "--threads=1") }

    /// What one worker with one thread makes of it, undisturbed.
    static var reference: Trace { get async throws { try await referenceTask.value } }
}
