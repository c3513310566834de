import Foundation
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
}
