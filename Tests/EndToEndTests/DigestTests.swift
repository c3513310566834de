import Foundation
import Testing

@Suite("The same bits", .serialized)
struct DigestTests {
    @Test("The reference run records every step once, and learns")
    func reference() async throws {
        let reference = try await TinyRun.reference
        #expect(reference.steps.map(\.number) == Array(1...TinyRun.steps))
        #expect(Set(reference.steps.map(\.digest)).count == TinyRun.steps)
        #expect(reference.steps.last!.loss < reference.steps.first!.loss)
    }

    @Test("Workers and threads change no bit", arguments: [1, 2, 3, 7], [1, 2])
    func distribution(workers: Int, threads: Int) async throws {
        #expect(try await TinyRun.trace("--workers=\(workers)", "--threads=\(threads)") == TinyRun.reference)
    }

    @Test("Instruction sets change no bit", arguments: Self.instructionSets)
    func instructionSet(name: String) async throws {
        let trace = try await TinyRun.trace("--workers=2", "--threads=1", environment: ["LOCKSTEP_ISA": name])
        #expect(try await trace == TinyRun.reference)
    }

    @Test("Another seed is another run")
    func seed() async throws {
        let other = try await TinyRun.trace("--workers=2", "--seed=1")
        let reference = try await TinyRun.reference
        #expect(other.state != reference.state)
        #expect(Set(other.steps.map(\.digest)).isDisjoint(with: reference.steps.map(\.digest)))
    }

    /// Those that this processor runs in a debug build.
    private static let instructionSets: [String] = {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
        let flags = Set(line.split(separator: " "))
        let needs: [(String, Set<Substring>)] = [
            ("v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma"]),
            ("v3", ["avx2", "fma", "bmi2"]), ("v4-tiles", ["avx2", "fma", "bmi2"]), ("baseline", []),
        ]
        return needs.filter { $0.1.isSubset(of: flags) }.map(\.0)
    }()
}
