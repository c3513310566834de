import Checkpoints
import Foundation
import Kernels
import Testing

@Suite("The norm of the gradient", .serialized)
struct GradientNormTests {
    /// What a step of a model of two chunks makes of the parameters, and the norm on record.
    private func step(_ flags: String...) async throws -> (parameters: [Float], norm: Double) {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train("--hidden=96", "--steps=1", "--optimizer=sgd", "--workers=3", "--threads=1") + flags,
            in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let checkpoint = try Checkpoint(contentsOf: folder.file("run/checkpoints/step-00000001.safetensors"))
        let line = try String(contentsOf: folder.file("run/metrics.jsonl"), encoding: .utf8).split(separator: "\n")[0]
        let values = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return (checkpoint.parameters.array, try #require(values?["gradient_norm"] as? Double))
    }

    @Test("The norm on record is the gradient's, and a clipped step is as long as was asked for")
    func norm() async throws {
        let still = try await step("--learning-rate=1e-30", "--clip=0")
        let free = try await step("--learning-rate=1", "--clip=0")
        let clipped = try await step("--learning-rate=1", "--clip=0.01")
        #expect(still.parameters.count > 65_536 && still.norm == free.norm && still.norm == clipped.norm)
        /// How far a step went, beside how far it should have gone.
        func ratio(_ parameters: [Float], _ length: Double) -> Double {
            let squares = zip(parameters, still.parameters).reduce(0.0) { $0 + pow(Double($1.0 - $1.1), 2) }
            return squares.squareRoot() / length
        }
        #expect(abs(ratio(free.parameters, free.norm) - 1) < 1e-3)
        #expect(abs(ratio(clipped.parameters, 0.01) - 1) < 1e-3)
    }
}
