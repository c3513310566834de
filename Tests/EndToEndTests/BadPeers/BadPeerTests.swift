import Foundation
import Glibc
import Kernels
import SeededNumbers
import Testing
import ZeroMQ

@Suite("Bad peers", .serialized)
struct BadPeerTests {
    @Test("Bad peers crash nothing, change no bit, fill no memory and no log", arguments: ["tcp", "ipc"])
    func attacked(transport: String) async throws {
        let folder = try TinyRun.folder()
        let bus = folder.file("bus").path
        let listen = transport == "tcp" ? "tcp://127.0.0.1:0" : "ipc://\(bus)"
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=\(listen)", "--endpoint-file=endpoint"]
                + TinyRun.flags + ["--minimum-workers=2", "--worker-timeout=60"], in: folder)
        let endpoint = try await NetworkTests.endpoint(in: folder)
        // Two honest workers, which train meanwhile and wait at step 30 until the attacks are over.
        let workers = try (1...2).map { number in
            try Execution(
                [
                    "worker", "--connect=\(endpoint)", "--threads=1", "--quiet", "--name=w\(number)",
                    "--inject=stop@step=30,phase=forward",
                ], in: folder)
        }
        try await Deadline.wait(for: "some steps") { try Trace.steps(run: "run", in: folder).count > 3 }
        let before = try #require(ProcessTable.residentBytes(of: coordinator.id))

        try await onThread {
            _ = try InstructionSet.select()
            var attacks = Attacks(endpoint: endpoint, context: try Context(), random: SplitMix64(seed: 4))
            try attacks.all()
        }

        #expect(ProcessTable.isRunning(coordinator.id))
        let after = try #require(ProcessTable.residentBytes(of: coordinator.id))
        #expect(after - before < 64 << 20, "it grew by \((after - before) >> 20) MiB")
        try await Deadline.wait(for: "the run to end") {
            for worker in workers { worker.send(SIGCONT) }
            return !ProcessTable.isRunning(coordinator.id)
        }
        let result = try await coordinator.result()
        #expect(result.code == 0, "\(result.errors)")
        for worker in workers { #expect(try await worker.result().code == 0) }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)

        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        let origin = transport == "tcp" ? " from 127.0.0.1" : ""
        for line in [
            "is no worker: discarded", "refused a peer\(origin) that has not joined:",
            "lost sends nan (its gradient of step", "lost sends inf (its gradient of step",
            "lost wrong shape (sent a payload of", "lost other generation (sent a gradient that it was not asked for)",
            "lost steps ahead (is ahead of the run)", "lost false digest (its replica differs after step",
            "lost reorders (messages were lost on the way)", "lost out of turn (spoke out of turn)",
            "lost other run (spoke for another run)", "lost replays (left)", "lost victim (left)",
            "more refusals since the last one told)",
        ] { #expect(log.contains(line), "no line says: \(line)") }
        #expect(log.utf8.count < 64 << 10, "the log has \(log.utf8.count) bytes")
    }
}

/// Runs a body on a thread of its own: sockets belong to one.
func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
