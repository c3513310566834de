import Coordination
import Foundation
import Glibc
import Testing
import Training
import ZeroMQ

@Suite("Programs of different versions", .serialized)
struct VersionSkewTests {
    private static let other = Wire.version + 1
    private static let both = "speaks protocol version \(other), this program version \(Wire.version)"

    @Test("A worker of another version is refused, the coordinator names versions and address, and the run goes on")
    func worker() async throws {
        let folder = try TinyRun.folder()
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint"]
                + TinyRun.flags, in: folder)
        let endpoint = try await NetworkTests.endpoint(in: folder)
        try await onThread {
            var peer = try RawPeer(endpoint, context: try Context())
            var frame = peer.frames(
                .hello(Hello(run: 0, name: "other", host: "nowhere", process: 1, threads: 1, software: "raw")))[0]
            frame[2] = Self.other
            try peer.send([frame])
            let refusal = try peer.hearRefusal()
            #expect(refusal.code == .version && refusal.reason.contains(Self.both), "\(refusal.reason)")
        }
        let worker = try Execution(["worker", "--connect=\(endpoint)", "--threads=1", "--quiet"], in: folder)
        try await Execution.expectSuccess(of: [coordinator, worker])
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        let refused = "refused a peer from 127.0.0.1 that has not joined: the peer \(Self.both)"
        #expect(log.contains(refused), "\(log)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker says in one line that the coordinator is of another version")
    func coordinator() async throws {
        let result = try await RawCoordinator.runWorker(in: try TemporaryFolder()) { _, envelope in
            // What a coordinator of that version would say of this worker.
            var frame = Wire.encode(.refuse(Refusal(code: .version, reason: "another version")), envelope)
            frame[2] = Self.other
            return frame
        }
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1 && result.errors.contains(Self.both), "\(result.errors)")
    }
}
