import Foundation
import Testing

@Suite("Runs that diverge")
struct DivergenceTests {
    /// A character that the first window lacks has no gradient, and --epsilon 0 divides it by nothing.
    private static let flags = ["--workers=1", "--threads=1", "--batch=2", "--window=4", "--epsilon=0"]

    @Test(
        "Parameters that are not finite end the run, and no checkpoint has them",
        arguments: ["--checkpoint-every=0", "--checkpoint-every=1"])
    func parameters(every: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train(every) + Self.flags, in: folder)
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1 && result.errors.contains("the parameters after step 1 are not finite"))
        let checkpoints = folder.file("run/checkpoints").path
        #expect((try? FileManager.default.contentsOfDirectory(atPath: checkpoints))?.isEmpty ?? true)
    }

    @Test("A gradient that is not finite ends the run, and its last good step is kept")
    func gradient() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train("--workers=2", "--threads=1", "--clip=0", "--optimizer=sgd", "--learning-rate=3e38"),
            in: folder)
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1 && result.errors.contains("is not finite: the last good step is kept"))
        let resumed = try await Execution.run(["inspect", "run", "--json"], in: folder)
        #expect(resumed.code == 0, "\(resumed.errors)")
    }
}
