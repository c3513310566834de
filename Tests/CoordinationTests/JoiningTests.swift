import Testing

@testable import Coordination

@Suite("A worker that is heard and does not join")
struct JoiningTests {
    /// A worker that greets and then only beats, at the end of a link.
    private struct Beating {
        var bench: MachineBench
        /// How many messages the link lets through by now.
        let arrived: (_ waiting: [CoordinatorItem], _ milliseconds: UInt64) -> Int
        private(set) var waiting: [CoordinatorItem] = []
        private(set) var milliseconds: UInt64 = 0
        private(set) var acknowledged: UInt64 = 0
        private(set) var lines: [String] = []
        private(set) var evictions: [String] = []

        init(snapshotParts: Int, arrived: @escaping ([CoordinatorItem], UInt64) -> Int) {
            self.arrived = arrived
            bench = MachineBench(snapshotParts: snapshotParts)
            bench.sequence[1] = 0
            say(.hello(Hello(run: 0, name: "w1", host: "h", process: 1, threads: 1, software: "t")))
        }

        private mutating func take(_ actions: [CoordinatorAction]) {
            evictions += actions.evictions
            for action in actions {
                if case .complain(let text) = action { lines.append(text) }
                if case .send(1, let item, _, _) = action { waiting.append(item) }
            }
        }

        mutating func say(_ message: Message) {
            bench.sequence[1]! += 1
            let envelope = Envelope(
                run: 5, worker: 1, sequence: bench.sequence[1]!, acknowledged: acknowledged)
            take(bench.machine.received(message, envelope, now: bench.now))
        }

        /// Lets time pass, up to the eviction at most.
        mutating func beat(seconds: UInt64, until isEnough: (Beating) -> Bool = { _ in false }) {
            for _ in 0..<4 * seconds where evictions.isEmpty && !isEnough(self) {
                milliseconds += 250
                bench.now = milliseconds * 1_000_000
                let count = arrived(waiting, milliseconds)
                waiting.removeFirst(count)
                acknowledged += UInt64(count)
                say(.heartbeat)
                take(bench.machine.tick(now: bench.now))
            }
        }
    }

    @Test(
        "One that acknowledges all, and never says that its replica stands, is let go after a minute, in a line that says why",
        arguments: [1, 100])
    func mute(parts: Int) {
        var worker = Beating(snapshotParts: parts) { waiting, _ in waiting.count }
        worker.beat(seconds: 60)
        #expect(worker.evictions.isEmpty)
        worker.beat(seconds: 2)
        #expect(worker.evictions == ["does not say that its replica stands, for 60 s"])
        #expect(
            worker.lines == [
                "w1 from h has not joined, and is let go: it does not say that its replica stands, for 60 s"
            ])
        #expect(worker.bench.machine.workers.isEmpty)
    }

    @Test(
        "One that acknowledges nothing, or fewer messages than it is sent, gets no more of its snapshot and is let go")
    func deaf() {
        var worker = Beating(snapshotParts: 100) { _, _ in 0 }
        worker.beat(seconds: 62)
        #expect(worker.evictions == ["takes no more of its snapshot, for 60 s"])
        // Four heartbeats a second are sent to it, and it acknowledges one message a second: after the first 48 parts
        // these are heartbeats alone.
        worker = Beating(snapshotParts: 100) { _, milliseconds in milliseconds % 1000 == 0 ? 1 : 0 }
        worker.beat(seconds: 120)
        #expect(worker.evictions == ["takes no more of its snapshot, for 60 s"])
    }

    @Test("A snapshot over a slow link is progress, however long all of it takes")
    func slow() {
        // A part each 50 s; what is small takes no time.
        var last: UInt64 = 0
        var worker = Beating(snapshotParts: 100) { waiting, milliseconds in
            var count = 0
            for item in waiting {
                if case .snapshot = item {
                    guard milliseconds - last >= 50_000 else { break }
                    last = milliseconds
                }
                count += 1
            }
            return count
        }
        worker.beat(seconds: 6000) { worker in
            let member = worker.bench.machine.members[1]!
            return !member.awaitsSnapshot && member.underWay.isEmpty
        }
        #expect(worker.milliseconds == 5_000_000 && worker.evictions.isEmpty, "\(worker.milliseconds) ms")
        worker.beat(seconds: 50)
        worker.say(.applied(Applied(step: 0, digest: 1)))
        #expect(worker.bench.machine.readyWorkers == [1])
        // Who has joined is held to it no more.
        worker.beat(seconds: 200)
        #expect(worker.evictions.isEmpty)
    }

    @Test("A worker that lags behind the steps is let go only when it gets no further")
    func lagging() {
        var worker = Beating(snapshotParts: 1) { waiting, _ in waiting.count }
        // Steps go on by another.
        _ = worker.bench.join(2)
        for step in UInt64(0)..<2 {
            _ = worker.bench.gradient(2, step: step, node: TreeNode(level: 1, index: 0))
            for shard in UInt32(0)..<2 { _ = worker.bench.result(2, step: step, shard: shard) }
            worker.bench.machine.digested(step: step + 1, digest: 1)
        }
        #expect(worker.bench.machine.step == 2)
        _ = worker.bench.machine.lose(2, "left", now: 0)
        for step in UInt64(0)..<2 {
            worker.beat(seconds: 50)
            worker.say(.applied(Applied(step: step, digest: 1)))
        }
        #expect(worker.evictions.isEmpty)
        worker.beat(seconds: 62)
        #expect(worker.evictions == ["does not say that its replica stands, for 60 s"])
    }
}
