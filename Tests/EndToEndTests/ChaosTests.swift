import Foundation
import Glibc
import Testing

/// Real processes under random kills, stops, joins, cuts and restarts. The schedule is drawn from a seed; what it meets
/// is up to the machine's timing.
@Suite("Chaos")
struct ChaosTests {
    private static func setting(_ name: String) -> String? {
        ProcessInfo.processInfo.environment["LOCKSTEP_CHAOS_\(name)"]
    }

    @Test("Whatever is killed, stopped, cut or joined, and however often, the bits are those of the undisturbed run")
    func chaos() async throws {
        let seconds = Self.setting("SECONDS").flatMap(Double.init) ?? 8
        let seed = Self.setting("SEED").flatMap(UInt64.init) ?? UInt64(Date().timeIntervalSince1970)
        let folder = try TinyRun.folder()
        let chaos = try Chaos(corpus: Self.setting("CORPUS") ?? "text.txt", seed: seed, folder: folder)
        let report = try await chaos.run(seconds: seconds)
        print("chaos with seed \(seed): \(report)")
        let reference = try await chaos.reference()
        let trace = try await Trace(run: "run", in: folder)
        #expect(trace.steps.count > 3)
        #expect(trace == reference, "seed \(seed): \(report)")
    }
}
