import Coordination
import Foundation
import Glibc
import Kernels
import LanguageModel
import Synchronization
import Testing
import ZeroMQ

@Suite("Flow control", .serialized)
struct FlowControlTests {
    /// Some 1.2 MB of gradient a step, and little to compute.
    private static let flags = [
        "--hidden=256", "--layers=1", "--batch=4", "--window=8", "--validation=0", "--sample-every=0", "--quiet",
        "--checkpoint-every=0",
    ]
    private static let steps = 250

    @Test("Sixty-four workers at once train to the same bits")
    func crowd() async throws {
        // To start as many processes takes long beside other tests.
        #expect(try await TinyRun.trace("--workers=64", "--threads=1", seconds: 180) == TinyRun.reference)
    }

    @Test("One worker takes over the recurrent state of a large batch in the middle of an epoch")
    func largeLease() async throws {
        // 4.4 MB of it: more than the 4 MiB that a coordinator takes in at once.
        let flags = [
            "text.txt", "--hidden=256", "--layers=8", "--batch=272", "--window=2", "--optimizer=sgd",
            "--validation=0", "--sample-every=0", "--workers=1", "--threads=2", "--quiet",
        ]
        let folder = try TinyRun.folder()
        for arguments in [
            ["train", "--run=whole", "--steps=4"] + flags, ["train", "--run=parts", "--steps=2"] + flags,
            ["train", "--run=parts", "--resume", "--steps=4", "--workers=1", "--quiet"],
        ] {
            let result = try await Execution.run(arguments, in: folder)
            try #require(result.code == 0, "\(result.errors)")
        }
        let whole = try await Trace(run: "whole", in: folder)
        #expect(try await Trace(run: "parts", in: folder) == whole)
    }

    /// How a raw peer treats what it is sent.
    enum Reader: CaseIterable {
        /// Reads nothing and acknowledges nothing, but lives.
        case neverReads
        /// Acknowledges what a peer that reads has got, and reads nothing.
        case acknowledgesUnread
    }

    @Test("A reader that does not keep up does not grow the coordinator's memory", arguments: Reader.allCases)
    func slowReader(kind: Reader) async throws {
        let folder = try TinyRun.folder()
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint"]
                + Self.flags + ["--steps=\(Self.steps)", "--worker-timeout=60"], in: folder)
        let endpoint = try await NetworkTests.endpoint(in: folder)
        // It stops until the readers are there, so that they are sent the steps.
        let worker = try Execution(
            [
                "worker", "--connect=\(endpoint)", "--threads=1", "--quiet", "--name=w1",
                "--inject=stop@step=5,phase=forward",
            ], in: folder)
        try await Deadline.wait(for: "the worker to stop") { ProcessTable.isStopped(worker.id) }
        let before = try #require(ProcessTable.residentBytes(of: coordinator.id))
        let readers = Readers()
        let reading = Task { try await onThread { try Self.readSlowly(kind, endpoint, readers) } }
        try await Deadline.wait(for: "the readers to be heard") { readers.haveGreeted.load(ordering: .relaxed) }
        var most = 0
        try await Deadline.wait(for: "the run to end") {
            worker.send(SIGCONT)
            most = max(most, ProcessTable.residentBytes(of: coordinator.id) ?? 0)
            return !ProcessTable.isRunning(coordinator.id)
        }
        readers.areOver.store(true, ordering: .relaxed)
        try await reading.value
        // An average and a commit of each step are for every peer that was welcomed.
        #expect(readers.heard.load(ordering: .relaxed) > Self.steps)
        #expect(try await coordinator.result().code == 0)
        #expect(try await worker.result().code == 0)
        #expect(try Trace.steps(run: "run", in: folder).count == Self.steps)
        // Without a bound each reader would hold every step's gradient: 290 MiB.
        #expect(most - before < 150 << 20, "it grew by \((most - before) >> 20) MiB")
    }

    /// What the thread of the readers and the test tell each other.
    private final class Readers: Sendable {
        let haveGreeted = Atomic<Bool>(false)
        let areOver = Atomic<Bool>(false)
        /// Messages of its session that the one that reads has got.
        let heard = Atomic<Int>(0)
    }

    /// Three peers that greet, and then only speak, beside one that reads.
    private static func readSlowly(_ kind: Reader, _ endpoint: String, _ readers: Readers) throws {
        _ = try InstructionSet.select()
        let context = try Context()
        var reading = try RawPeer(endpoint, context: context)
        var a = try RawPeer(endpoint, context: context, receiveHighWaterMark: 1)
        var b = try RawPeer(endpoint, context: context, receiveHighWaterMark: 1)
        var c = try RawPeer(endpoint, context: context, receiveHighWaterMark: 1)
        reading.isFollowing = false
        try reading.greet(name: "reader")
        try a.greet(name: "slow reader a")
        try b.greet(name: "slow reader b")
        try c.greet(name: "slow reader c")
        _ = try reading.hear("a welcome") { if case .welcome = $0 { true } else { false } }
        readers.haveGreeted.store(true, ordering: .relaxed)
        (a.run, b.run, c.run) = (reading.run, reading.run, reading.run)
        while !readers.areOver.load(ordering: .relaxed) {
            while try reading.hear(seconds: 0) != nil {}
            // A little behind, so that it is never more than was sent.
            let unread = kind == .acknowledgesUnread ? reading.heard - min(reading.heard, 30) : 0
            // The coordinator may be gone.
            try? reading.send(reading.frames(.heartbeat))
            try? a.send(a.frames(.heartbeat, acknowledging: unread))
            try? b.send(b.frames(.heartbeat, acknowledging: unread))
            try? c.send(c.frames(.heartbeat, acknowledging: unread))
            usleep(10_000)
        }
        readers.heard.store(Int(reading.heard), ordering: .relaxed)
    }
}
