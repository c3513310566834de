import Foundation
import Glibc
import Synchronization
import Testing

@Suite("Replayed traffic", .serialized)
struct ReplayTests {
    /// Of the parameters and what the optimizer keeps of each.
    private static let stateBytes = 3 * 4 * 4948

    /// A run of two workers; all that the first one sends is recorded, and played to the coordinator's port again, while
    /// that worker trains and after it has left.
    ///
    /// - Returns: how many bytes the coordinator answered to the last replay, and its log.
    private static func replayed(withKeys: Bool) async throws -> (answered: Int, log: String) {
        let folder = try TinyRun.folder()
        let made = try await Execution.run(["keys", "keys"], in: folder)
        #expect(made.code == 0, "\(made.errors)")
        func keys(_ name: String) -> [String] { withKeys ? ["--keys=keys/\(name)"] : [] }
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint"]
                + TinyRun.flags + ["--minimum-workers=2", "--worker-timeout=60"] + keys("coordinator"), in: folder)
        let endpoint = try await NetworkTests.endpoint(in: folder)
        let relay = try Relay(to: try #require(UInt16(endpoint.split(separator: ":").last!)), records: true)
        defer { relay.end() }
        func worker(_ name: String, _ address: String, _ inject: String) throws -> Execution {
            try Execution(
                ["worker", "--connect=\(address)", "--threads=1", "--name=\(name)", "--inject=\(inject)"]
                    + keys("worker"), in: folder)
        }
        // The second waits at step 30, or the next one in which it has work, until all has been played.
        let waits = (30..<TinyRun.steps).map { "stop@step=\($0),phase=forward" }.joined(separator: ";")
        let recorded = try worker("recorded", "tcp://127.0.0.1:\(relay.port)", "slow:20")
        let steady = try worker("steady", endpoint, "slow:20;\(waits)")
        func steps() throws -> Int { try Trace.steps(run: "run", in: folder).count }
        func log() -> String { (try? String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)) ?? "" }

        try await Deadline.wait(for: "some steps") { try steps() > 4 }
        // The longest connection is that of the session: others only looked whether the port answers.
        let traffic = try #require(relay.recordings.max { $0.count < $1.count })
        #expect(traffic.count > 4096)
        let before = try steps()
        try await onThread { _ = try play(traffic, to: endpoint, awaiting: 0) }
        if withKeys {
            try await Deadline.wait(for: "steps behind the first replays") { try steps() > before + 1 }
            #expect(!log().contains("lost "), "\(log())")
        }
        recorded.send(SIGTERM)
        let end = try await recorded.result()
        // Without keys a replay may have taken its place before, and holds work.
        if withKeys {
            // Its goodbye, or the end of its connection, whichever the coordinator comes to first.
            try await Deadline.wait(for: "the recorded worker to leave: \(end), \(log())") {
                log().contains("lost recorded (left)") || log().contains("lost recorded (cannot be reached)")
            }
        }
        // All of the session this time, to its end.
        let whole = try #require(relay.recordings.max { $0.count < $1.count })
        let answered = Mutex(0)
        try await onThread {
            let count = try play(whole, to: endpoint, awaiting: withKeys ? 0 : stateBytes)
            answered.withLock { $0 = count }
        }
        #expect(coordinator.isRunning)

        if withKeys {
            try await Deadline.wait(for: "the run to end") {
                steady.send(SIGCONT)
                return !coordinator.isRunning
            }
            #expect(try await coordinator.result().code == 0)
            #expect(try await steady.result().code == 0)
            #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        } else {
            // Whoever got in holds work now, and would do so until the timeout.
            for process in [coordinator, steady] {
                process.send(SIGKILL)
                _ = try await process.result()
            }
        }
        return (answered.withLock { $0 }, log())
    }

    /// At once, in the pieces of a real handshake, and on many connections.
    ///
    /// - Parameter bytes: as many answers to the pieces are waited for, however late they come.
    /// - Returns: how many bytes were answered to the pieces.
    private static func play(_ traffic: [UInt8], to endpoint: String, awaiting bytes: Int) throws -> Int {
        let whole = try #require(RawStream(endpoint))
        whole.write(traffic)
        _ = whole.read(untilSilentFor: 0.3)

        // The greeting, each command of the handshake when the one before it has been answered, and the rest.
        let slow = try #require(RawStream(endpoint))
        slow.write(Array(traffic[..<64]))
        var answered = slow.read(untilSilentFor: 0.3, atLeast: 64).count
        #expect(answered >= 64, "no greeting came")
        var position = 64
        while let size = commandSize(traffic[position...]) {
            slow.write(Array(traffic[position..<position + size]))
            answered += slow.read(untilSilentFor: 0.3).count
            position += size
        }
        #expect(position > 64)
        slow.write(Array(traffic[position...]))
        answered += slow.read(untilSilentFor: 0.3, atLeast: bytes - answered).count

        let many = (0..<20).compactMap { _ in RawStream(endpoint) }
        #expect(many.count == 20)
        for stream in many { stream.write(traffic) }
        for stream in many { _ = stream.read(untilSilentFor: 0.1) }
        return answered
    }

    /// The bytes of the ZMTP command that comes first; nil where a message does.
    private static func commandSize(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard let flags = bytes.first, flags & 4 != 0 else { return nil }
        let lengthBytes = flags & 2 != 0 ? 8 : 1
        return 1 + lengthBytes + bytes.dropFirst().prefix(lengthBytes).reduce(0) { $0 << 8 | Int($1) }
    }

    @Test("A worker's recorded CURVE traffic, sent again, does not get in and holds up no step")
    func curve() async throws {
        let (answered, log) = try await Self.replayed(withKeys: true)
        // A greeting and the WELCOME of the handshake, sealed for the recorded worker.
        #expect(answered < 512)
        #expect(log.components(separatedBy: "recorded joined from ").count == 2, "\(log)")
        #expect(log.contains("refused a peer from 127.0.0.1: "), "\(log)")
        #expect(log.components(separatedBy: "lost ").count == 2, "only the worker that left was lost: \(log)")
    }

    @Test("Without keys the same traffic does get in, and is sent the model")
    func plain() async throws {
        let (answered, log) = try await Self.replayed(withKeys: false)
        #expect(answered > Self.stateBytes, "parameters and the optimizer's state did not come: \(log)")
    }
}
