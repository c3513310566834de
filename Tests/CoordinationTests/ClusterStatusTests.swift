import Coordination
import Testing

@Suite("The machine's status")
struct ClusterStatusTests {
    private var machine: CoordinatorMachine
    private var sequence: UInt64 = 0

    init() {
        machine = CoordinatorMachine(
            CoordinatorMachine.Configuration(
                run: 5, shards: 3, chunks: 2, snapshotParts: 1, totalSteps: 3, carryPeriod: 3))
        machine.digested(step: 0, digest: 1)
    }

    private mutating func say(_ message: Message, now: UInt64) {
        sequence += 1
        _ = machine.received(message, Envelope(run: 5, worker: 7, sequence: sequence, acknowledged: 0), now: now)
    }

    @Test("It tells who is there, what they hold, how far the tree is and what is awaited")
    mutating func status() throws {
        var status = machine.status(now: 0)
        #expect(status.members.isEmpty)
        #expect(status.age == nil)
        #expect(status.waitingReason == "step 1 waits for workers: none is connected")
        say(.hello(Hello(run: 0, name: "w7", host: "h", process: 1, threads: 2, software: "t")), now: 10)
        #expect(machine.status(now: 10).members.map(\.state) == [.joining])
        say(.applied(Applied(step: 0, digest: 1)), now: 20)
        status = machine.status(now: 1_000_000_020)
        let member = try #require(status.members.first)
        #expect(member.hello.name == "w7")
        #expect(member.state == .forward)
        #expect(member.shards == [0, 1, 2])
        #expect(member.silence == 1_000_000_000)
        #expect(status.age == 1_000_000_000)
        #expect(status.waitingReason?.contains("worker w7, shards 0-2, phase forward") == true)
        #expect(status.tree.map(\.chunks) == [0, 0, 0, 0, 0])
        #expect(status.tree.map(\.shards) == [0..<3, 0..<2, 2..<3, 0..<1, 1..<2])

        // Shards 0 and 1 together in chunk 0, which is not the last one to come, then all in both.
        let pair = TreeNode(level: 1, index: 0)
        say(.gradient(GradientPart(generation: 1, step: 0, node: pair, chunk: 0)), now: 30)
        #expect(machine.status(now: 30).tree.map(\.chunks) == [0, 1, 0, 1, 1])
        #expect(machine.status(now: 30).members.first?.state == .backward)
        for chunk: UInt32 in [1, 0] {
            say(
                .gradient(GradientPart(generation: 1, step: 0, node: TreeNode(level: 0, index: 2), chunk: chunk)),
                now: 40)
        }
        #expect(machine.status(now: 40).members.first?.state == .backward)
        say(.gradient(GradientPart(generation: 1, step: 0, node: pair, chunk: 1)), now: 50)
        status = machine.status(now: 50)
        #expect(status.tree.map(\.chunks) == [2, 2, 2, 2, 2])
        #expect(status.completeChunks == 2)
        #expect(status.members.first?.state == .result)
        say(.nodeResult(NodeResult(generation: 1, step: 0, node: pair, lossBits: [0, 0])), now: 60)
        #expect(machine.status(now: 60).acceptedShards == 2)
        #expect(machine.status(now: 60).members.first?.reportedShards == 2)
    }
}
