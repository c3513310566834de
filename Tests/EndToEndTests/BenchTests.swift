import Foundation
import Testing

@Suite("The benchmark", .serialized)
struct BenchTests {
    private struct Report: Decodable {
        struct Memory: Decodable {
            var predicted: Int
            var measured: Int
        }
        var mode: String
        var cores: Int
        var isa: String
        var peakGflops: Double
        var stepGflop: Double
        var stepSeconds: Double
        var fractionOfPeak: Double
        var charactersPerSecond: Double
        var phases: [String: Double]?
        var memory: Memory?
        var readGigabytesPerSecond: Double?
        var fractionOfReadRate: Double?
    }

    private static let model = ["--hidden=24", "--layers=2", "--dropout=0.3", "--batch=16", "--window=8"]

    private func bench(_ flags: String...) async throws -> Report {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            ["bench", "--corpus=text.txt", "--json"] + Self.model + flags, in: folder)
        try #require(result.code == 0, "\(result.errors)")
        #expect(result.errors.isEmpty)
        // It leaves nothing behind.
        #expect(!FileManager.default.fileExists(atPath: folder.file("runs").path))
        #expect(result.output.contains("\"characters_per_second\" : "))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Report.self, from: Data(result.output.utf8))
    }

    @Test("Whole steps of two workers: every field, and phases that add up to a step")
    func training() async throws {
        let report = try await bench("--workers=2", "--threads=1", "--steps=3")
        #expect(report.mode == "train")
        #expect(report.cores == ProcessInfo.processInfo.activeProcessorCount)
        #expect(["v4", "v3", "baseline"].contains(report.isa))
        #expect(report.peakGflops > 0)
        let vocabulary = Double(Set(String(decoding: TinyRun.text, as: UTF8.self).unicodeScalars).count)
        let gflop = 6 * 16 * 8 * (4 * 24 * 24 * 3 + vocabulary * 24) * 1e-9
        #expect(abs(report.stepGflop - gflop) < 1e-12)
        #expect(report.stepSeconds > 0)
        #expect(abs(report.fractionOfPeak * report.peakGflops * report.stepSeconds - gflop) < 1e-9)
        #expect(abs(report.charactersPerSecond * report.stepSeconds - 128) < 1e-6)
        let phases = try #require(report.phases)
        #expect(
            Set(phases.keys).isSuperset(of: [
                "forward", "backward", "weight_gradients", "optimizer", "reduce", "wait",
            ]))
        #expect(["forward", "backward", "weight_gradients", "optimizer", "reduce"].allSatisfy { phases[$0]! > 0 })
        let memory = try #require(report.memory)
        #expect(memory.predicted > 0)
        #expect(memory.measured > 1 << 20)
    }

    @Test("More workers than shards: some have nothing to do in a step", arguments: ["--shards=1", "--shards=2"])
    func idleWorkers(shards: String) async throws {
        let report = try await bench("--workers=4", "--threads=1", "--steps=8", shards)
        #expect(report.stepSeconds > 0)
        #expect(try #require(report.phases).values.allSatisfy { $0 >= 0 })
    }

    @Test("The forward pass, and text as it is generated")
    func forward() async throws {
        let evaluation = try await bench("--evaluate", "--threads=2", "--steps=2")
        #expect(evaluation.mode == "evaluate")
        #expect(abs(evaluation.charactersPerSecond * evaluation.stepSeconds - 128) < 1e-6)
        #expect(evaluation.phases == nil)

        let sample = try await bench("--sample", "--count=3", "--steps=5")
        #expect(sample.mode == "sample")
        #expect(abs(sample.charactersPerSecond * sample.stepSeconds - 3) < 1e-6)
        #expect(try #require(sample.readGigabytesPerSecond) > 0)
        #expect(try #require(sample.fractionOfReadRate) > 0)
    }

    @Test("It takes the flags of the model and the text")
    func modelFlags() async throws {
        let report = try await bench(
            "--evaluate", "--threads=1", "--steps=2", "--initializer=uniform:0.1", "--forget-bias=1",
            "--validation-split=columns", "--stateless", "--seed=1", "--shards=4", "--optimizer=sgd", "--momentum=0.9")
        #expect(report.mode == "evaluate")
        let folder = try TinyRun.folder()
        let refused = try await Execution.run(["bench", "--initialize-from=run"], in: folder)
        #expect(refused.code == 64 && refused.errors.contains("--initialize-from"), "\(refused.errors)")
    }

    @Test("Flags that say nothing to a mode are refused")
    func usage() async throws {
        let folder = try TinyRun.folder()
        for flags in [["--sample", "--workers=2"], ["--count=2"], ["--steps=0"], ["--evaluate", "--sample"]] {
            let result = try await Execution.run(["bench"] + flags, in: folder)
            #expect(result.code == 64, "\(flags)")
        }
    }
}
