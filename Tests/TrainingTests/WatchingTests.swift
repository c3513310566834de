import Coordination
import Foundation
import LanguageModel
import Synchronization
import Testing

@testable import Training

@Suite("What watchers are shown")
struct WatchingTests {
    private func record(_ step: UInt64, loss: Double = 1) -> StepRecord {
        .example(step, loss: loss)
    }

    private func snapshot() -> RunSnapshot {
        RunSnapshot(
            name: "anna", run: "00000000000000ff", software: "1", folder: "runs/anna", state: .training, time: 100,
            started: 40, progress: .init(step: 7, totalSteps: 100, epoch: 1, totalEpochs: 3))
    }

    private func member(_ name: String) -> RunSnapshot.Member {
        RunSnapshot.Member(
            id: "1", name: name, host: "h", process: 1, threads: 1, state: .idle, shards: [0, 1, 2, 5],
            reportedShards: 0, silence: 0.1)
    }

    @Test("A curve keeps its ends and its order, in bounded memory, however many steps there are")
    func curve() {
        var curve = Curve()
        for step in 1...50_000 { curve.append(record(UInt64(step)), validationLoss: step % 10 == 0 ? 1 : nil) }
        #expect(curve.points.count <= Curve.limit)
        #expect(curve.points.count > Curve.limit / 4)
        #expect(curve.validations.count <= Curve.limit)
        #expect(curve.points.first?.step == 1)
        #expect(curve.points.last!.step > 49_900)
        #expect(zip(curve.points, curve.points.dropFirst()).allSatisfy { $0.step < $1.step })
    }

    @Test("A line of metrics with a step that no run has is passed over")
    func impossibleStep() throws {
        let url = FileManager.default.temporaryDirectory.appending(component: "metrics-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: url) }
        let text = [UInt64.max, RunConfiguration.maximumSteps + 1, RunConfiguration.maximumSteps].map { step in
            #"{"step":\#(step),"epoch":1,"loss":1,"gradient_norm":2,"learning_rate":0.5,"characters_per_second":8,"#
                + #""step_seconds":0.5,"workers":1,"digest":"00000000000000ff"}"# + "\n"
        }
        try Data(text.joined().utf8).write(to: url)
        var curve = Curve()
        MetricsReader.read(url) { record, loss in curve.append(record, validationLoss: loss) }
        #expect(curve.points.map(\.step) == [RunConfiguration.maximumSteps])
    }

    /// Everything that can be known is.
    private func fullSnapshot() -> RunSnapshot {
        var snapshot = snapshot()
        snapshot.name = "a\u{1}\"\\<b>/\n\u{1F600}\u{2028}"
        snapshot.progress.loss = 0.1
        snapshot.progress.validationLoss = 1e-7
        snapshot.progress.validationStep = 6
        snapshot.progress.bestValidationLoss = 1.0 / 3
        snapshot.progress.entropyBound = 0.5
        snapshot.progress.gradientNorm = 1e21
        snapshot.progress.learningRate = .leastNonzeroMagnitude
        snapshot.progress.charactersPerSecond = 12_345_678.9
        snapshot.progress.stepSeconds = 0.25
        snapshot.progress.remainingSeconds = 0
        var known = member("w\u{1}\"<b>")
        known.charactersPerSecond = 7
        (known.computing, known.waiting, known.sending) = (0.5, 0.25, 0.25)
        snapshot.members = [known, member("w2")]
        snapshot.memberCount = 2
        snapshot.openStep = .init(
            step: 8, age: 0.5, shards: 16, acceptedShards: 2, chunks: 4, completeChunks: 1, waiting: "for w1")
        snapshot.tree = [.init(level: 4, firstShard: 0, shards: 16, share: 0.25)]
        var step = RunSnapshot.Step(
            step: .max, committed: 2, seconds: 0.5, loss: 3, gradientNorm: 4, charactersPerSecond: 5)
        step.workers = [
            .init(
                worker: "w1", began: -1, awaitingLease: 0.1, forward: 0.2, backward: 0.3, sending: 0.4,
                awaitingCommit: 0.5, update: 0.6)
        ]
        snapshot.recentSteps = [step, step]
        snapshot.events = [
            .init(number: 1, time: 2, kind: .lost, text: "lost w2"), .init(number: 2, time: 3, kind: .joined, text: ""),
        ]
        snapshot.checkpoints = [
            .init(step: 1, file: "a", validationLoss: 2), .init(step: 2, file: "b", validationLoss: nil),
        ]
        snapshot.sample = .init(step: 5, text: "\u{0}\t\u{7F}")
        snapshot.settings = [.init(name: "seed", value: "0")]
        return snapshot
    }

    @Test("A snapshot's JSON is what the encoder would make of it, and reads back to the same")
    func roundTrip() throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        for snapshot in [snapshot(), fullSnapshot()] {
            #expect(try RunSnapshot(encoded: snapshot.encoded()) == snapshot)
            let written = try JSONSerialization.jsonObject(with: Data(snapshot.encoded())) as? NSDictionary
            #expect(try written == JSONSerialization.jsonObject(with: encoder.encode(snapshot)) as? NSDictionary)
        }
    }

    @Test("A snapshot of a thousand workers is cut to what a message holds, and says how many there are")
    func bounded() throws {
        var snapshot = snapshot()
        snapshot.members = (0..<1000).map { member("worker-\($0)") }
        snapshot.memberCount = 1000
        let bytes = snapshot.encoded(limit: 20_000)
        #expect(bytes.count <= 20_000)
        let back = try RunSnapshot(encoded: bytes)
        #expect(back.memberCount == 1000)
        #expect(back.members.count > 10)
    }

    @Test("The report names the workers, what is awaited and what happened, within the width")
    func report() {
        var snapshot = snapshot()
        snapshot.members = [member("w1"), member("evil\u{1B}[31m")]
        snapshot.memberCount = 2
        snapshot.openStep = .init(
            step: 8, age: 1.5, shards: 16, acceptedShards: 2, chunks: 4, completeChunks: 1,
            waiting: "step 8 waits 1.5 s for worker w1, shards 0-5, phase forward")
        snapshot.events = [.init(number: 1, time: 40, kind: .lost, text: "lost w2 (left); 1 left")]
        let text = StatusReport(snapshot, width: 100).text
        #expect(text.contains("anna  training  for 1m 00s"))
        #expect(text.contains("step 7/100"))
        #expect(text.contains("step 8 waits 1.5 s for worker w1, shards 0-5, phase forward"))
        #expect(text.contains("0-2,5"))
        #expect(text.contains("1m 00s ago  lost w2"))
        #expect(!text.contains("\u{1B}"))
        // A step that has only begun waits for nobody in particular; one that cannot begin does.
        snapshot.openStep!.age = 0.5
        #expect(!StatusReport(snapshot, width: 100).text.contains("waits"))
        snapshot.openStep!.age = nil
        #expect(StatusReport(snapshot, width: 100).text.contains("step 8 waits"))
        let narrow = StatusReport(snapshot, width: 30).text
        #expect(narrow.split(separator: "\n").allSatisfy { $0.count <= 30 })
    }

    @Test("A reader is shown the cluster as it is now, and waits but a moment for a coordinator that is gone")
    func fresh() throws {
        try withNewRun(hidden: 16) { job in
            let monitor = RunMonitor(job: job, folder: job.folder.url.path, timeout: 3)
            let machine = CoordinatorMachine(
                .init(run: 1, shards: 4, chunks: 2, snapshotParts: 1, totalSteps: 999, carryPeriod: 3))
            let known = machine.status(now: 1)
            @Sendable func status(_ step: UInt64) -> ClusterStatus {
                var status = known
                status.step = step
                return status
            }
            // As the coordinator does between its steps.
            let step = Atomic<UInt64>(1)
            let isOver = Atomic<Bool>(false)
            let hasEnded = Atomic<Bool>(false)
            monitor.cluster(status(0))
            let loop = Thread {
                while !isOver.load(ordering: .relaxed) {
                    if monitor.wantsStatus() { monitor.cluster(status(step.load(ordering: .relaxed))) }
                    Thread.sleep(forTimeInterval: 0.001)
                }
                hasEnded.store(true, ordering: .releasing)
            }
            loop.start()
            for current in UInt64(1)...50 {
                step.store(current, ordering: .relaxed)
                #expect(monitor.freshSnapshot().openStep?.step == current + 1)
            }
            isOver.store(true, ordering: .relaxed)
            while !hasEnded.load(ordering: .acquiring) { Thread.sleep(forTimeInterval: 0.001) }
            step.store(99, ordering: .relaxed)
            #expect(monitor.freshSnapshot().openStep?.step == 51)
            monitor.ended(.interrupted)
            #expect(monitor.freshSnapshot().openStep == nil)
        }
    }

    @Test("Watchers are told what is new though the wall clock is set back")
    func clockSetBack() throws {
        try withNewRun(hidden: 16) { job in
            let clock = Mutex(1e9)
            let monitor = RunMonitor(job: job, folder: job.folder.url.path, time: { clock.withLock { $0 } })
            let status = CoordinatorMachine(
                .init(run: 1, shards: 4, chunks: 2, snapshotParts: 1, totalSteps: 999, carryPeriod: 3)
            ).status(now: 1)
            var looks = 0
            func look() -> ClusterStatus {
                looks += 1
                return status
            }
            #expect(monitor.wantsStatus())
            _ = monitor.statusAnswer(look)
            #expect(!monitor.wantsStatus())
            clock.withLock { $0 -= 3600 }
            Thread.sleep(forTimeInterval: 0.11)
            _ = monitor.statusAnswer(look)
            #expect(looks == 2)
            Thread.sleep(forTimeInterval: 1.01)
            #expect(monitor.wantsStatus())
        }
    }

    @Test("The phases of a worker's step are told in order, and add up")
    func account() {
        var account = ComputeAccount()
        account.resumed()
        var phases = PhaseTimes()
        phases.forward = 1e-9
        account.beganCompute()
        account.endedCompute(phases, [])
        account.resumed()
        let times = account.updated()
        #expect(times.awaitingLease > 0 && times.forward > 0 && times.backward > 0)
        #expect(times.awaitingCommit > 0 && times.update > 0)
        #expect(times.forward == 1)
        // More than has passed is not believed.
        account.beganCompute()
        phases.forward = 1e6
        account.endedCompute(phases, [])
        let capped = account.updated()
        #expect(capped.forward < 1_000_000_000_000 && capped.backward == 0)
        #expect(account.updated().forward == 0)
    }

    @Test("What a worker's threads were at is told as seen from the end of its step, in order and bounded")
    func threadAccount() throws {
        var account = ComputeAccount()
        let start = ContinuousClock.now - .milliseconds(100)
        func span(_ phase: ComputePhase, _ from: Int, _ to: Int) -> ThreadTimeline.Span {
            .init(phase: phase, from: start + .microseconds(from), to: start + .microseconds(to))
        }
        // Two leases in one step; the third thread has nothing to do.
        account.beganCompute()
        account.endedCompute(
            PhaseTimes(), [[span(.pack, 0, 500), span(.forward, 500, 900)], [span(.forward, 0, 1)], []])
        account.endedCompute(PhaseTimes(), [[span(.backward, 2000, 2300)], [span(.weightGradients, 2000, 2000)], []])
        Thread.sleep(forTimeInterval: 0.002)
        let times = account.updated()
        #expect(times.threads.map { $0.map(\.phase) } == [[.pack, .forward, .backward, .update], [.forward], []])
        let first = try #require(times.threads.first)
        #expect(first[0].beforeEnd > 100_000 && first[0].beforeEnd < 60_000_000)
        #expect(first[0].beforeEnd - first[0].length == first[1].beforeEnd)
        #expect(abs(Int(first[0].beforeEnd) - Int(first[2].beforeEnd) - 2000) <= 1)
        #expect(first[3].length >= 2000 && first[3].length == first[3].beforeEnd)
        // The next step begins with none of it, and tells no more than a message takes.
        let many = (0..<100).map { span(.forward, $0 * 10, $0 * 10 + 5) }
        account.endedCompute(PhaseTimes(), Array(repeating: many, count: 200))
        account.endedCompute(PhaseTimes(), Array(repeating: many, count: 200))
        let bounded = account.updated()
        #expect(bounded.threads.count == ThreadSpan.maximumThreads)
        #expect(bounded.threads.allSatisfy { $0.count <= ThreadSpan.maximumCount })
        let message = Message.applied(Applied(step: 1, digest: 1, times: bounded))
        let envelope = Envelope(run: 1, worker: 2, sequence: 3, acknowledged: 4)
        #expect(try Wire.decode(Wire.encode(message, envelope)).0 == message)
    }

    @Test("A trace is whole JSON with the phases of each worker and arrows between processes")
    func trace() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let trace = try TraceWriter(path: path, started: 100) { Issue.record("\($0)") }
        trace.event("w\"1 joined", at: 100)
        for step in 1...3 {
            trace.committed(record(UInt64(step)), at: 100 + Double(step))
            let work = RunSnapshot.Step.Work(
                worker: "w\"1", began: 99.5 + Double(step), awaitingLease: 0.1, forward: 0.1, backward: 0.1,
                sending: 0.1, awaitingCommit: 0.1, update: 0.1)
            let threads = [
                [ThreadSpan(phase: .forward, beforeEnd: 500_000, length: 100_000)],
                [ThreadSpan(phase: .weightGradients, beforeEnd: 400_000, length: 50_000)],
            ]
            trace.worked(work, threads: threads, ended: 100.1 + Double(step), step: UInt64(step))
        }
        trace.finish()
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let events = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        func named(_ name: String) -> [[String: Any]] { events.filter { $0["name"] as? String == name } }
        #expect(named("step 2").count == 1)
        #expect(named("backward").count == 3)
        // On the tracks of its threads, under the worker, with their names.
        #expect(named("weight_gradients").count == 3)
        #expect(named("weight_gradients").allSatisfy { $0["pid"] as? Int == 2 && $0["tid"] as? Int == 3 })
        let tracks = named("thread_name").map { track in
            "\(track["pid"]!) \(track["tid"]!) \((track["args"] as! [String: Any])["name"]!)"
        }
        #expect(tracks == ["1 1 steps", "2 1 steps", "2 2 compute 0", "2 3 compute 1"])
        let gradients = try #require(named("weight_gradients").first)
        #expect(abs((gradients["ts"] as! Double) - 700_000) < 1 && abs((gradients["dur"] as! Double) - 50_000) < 1)
        #expect(named("w\"1 joined").count == 1)
        #expect(events.filter { $0["ph"] as? String == "s" }.count == 9)
        #expect(events.filter { $0["ph"] as? String == "f" }.count == 9)
        let forward = try #require(named("forward").first)
        #expect(abs((forward["ts"] as! Double) - 600_000) < 1)
        #expect(forward["pid"] as? Int == 2)
    }

    @Test("A trace whose disk stands still is waited for by nobody for ever", .timeLimit(.minutes(1)))
    func stalledTrace() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try #require(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        let told = Mutex<[String]>([])
        let trace = try TraceWriter(path: path, started: 0) { text in told.withLock { $0.append(text) } }
        // More than a pipe holds.
        for time in 0..<2000 { trace.event(String(repeating: "x", count: 200), at: Double(time)) }
        trace.finish(seconds: 0.2)
        #expect(told.withLock { $0 } == ["\(path): the disk has not taken the end of the trace in 0.2 s: it is lost"])
        // Taken after all, and completed.
        _ = fcntl(reader, F_SETFL, 0)
        let text = String(
            decoding: FileHandle(fileDescriptor: reader, closeOnDealloc: true).readDataToEndOfFile(), as: UTF8.self)
        #expect(text.hasSuffix("\n]\n"))
    }

    @Test(
        "Slices of a trace lie apart however the network jitters, and each end of an arrow in the slice it belongs to")
    func traceFormat() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let trace = try TraceWriter(path: path, started: 100) { Issue.record("\($0)") }
        var random = SystemRandomNumberGenerator()
        for step in 1...200 {
            let end = 100 + Double(step) * 0.5
            trace.committed(record(UInt64(step)), at: end + .random(in: 0...0.01, using: &random))
            for worker in ["w1", "w2"] {
                // Phases of the whole step, or some of them of no length, told up to 20 ms late.
                let waits = Bool.random(using: &random)
                let work = RunSnapshot.Step.Work(
                    worker: worker, began: end - 0.45 + .random(in: 0...0.02, using: &random),
                    awaitingLease: waits ? 0.1 : 0, forward: waits ? 0.1 : 0.2, backward: 0.1,
                    sending: waits ? 0.05 : 0,
                    awaitingCommit: waits ? 0.1 : 0.15, update: 0.05)
                let threads = (0..<2).map { _ in
                    [
                        ThreadSpan(phase: .forward, beforeEnd: 440_000, length: .random(in: 1...100_000)),
                        ThreadSpan(phase: .backward, beforeEnd: 300_000, length: .random(in: 0...1)),
                        ThreadSpan(phase: .update, beforeEnd: 50_000, length: 50_000),
                    ]
                }
                let ended = work.began + work.phases.reduce(0, +)
                trace.worked(work, threads: threads, ended: ended, step: UInt64(step))
            }
        }
        trace.finish()
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let events = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        struct Slice {
            var name: String
            var from: Int
            var to: Int
        }
        struct Track: Hashable {
            var process: Int
            var thread: Int
        }
        var slices: [Track: [Slice]] = [:]
        var ends: [Int: [(process: Int, time: Int, name: String)]] = [:]
        // Nanoseconds, as three decimals of a microsecond hold them.
        func time(_ event: [String: Any], _ key: String) throws -> Int {
            Int((try #require(event[key] as? Double) * 1000).rounded())
        }
        for event in events {
            let name = try #require(event["name"] as? String)
            let process = try #require(event["pid"] as? Int)
            let track = Track(process: process, thread: try #require(event["tid"] as? Int))
            switch event["ph"] as? String {
            case "X":
                let from = try time(event, "ts")
                let slice = Slice(
                    name: String(name.prefix { $0 != " " }), from: from, to: try from + time(event, "dur"))
                #expect(slice.to > slice.from)
                // In the order of the file, too.
                #expect(slices[track]?.last.map { $0.to <= slice.from } ?? true)
                slices[track, default: []].append(slice)
            case "s": ends[try #require(event["id"] as? Int)] = [(process, try time(event, "ts"), name)]
            case "f":
                #expect(event["bp"] as? String == "e")
                ends[try #require(event["id"] as? Int), default: []].append((process, try time(event, "ts"), name))
            case let kind: #expect(kind == "M")
            }
            // Arrows lead between steps, not threads.
            #expect(track.thread == 1 || ["X", "M"].contains(event["ph"] as? String))
        }
        let threads = Dictionary(grouping: slices.keys, by: \.process).mapValues { $0.map(\.thread).sorted() }
        #expect(threads == [1: [1], 2: [1, 2, 3], 3: [1, 2, 3]])
        for (track, found) in slices where track.thread > 1 {
            #expect(found.filter { $0.name == "forward" }.count > 150)
            #expect(found.filter { $0.name == "update" }.count > 150)
        }
        let kinds = ["lease": ["step", "forward"], "gradient": ["backward", "step"], "commit": ["step", "update"]]
        for pair in ends.values {
            try #require(pair.count == 2)
            #expect(pair[0].time <= pair[1].time)
            #expect(pair[0].name == pair[1].name)
            let found = pair.map { end in
                slices[Track(process: end.process, thread: 1)]?.first { $0.from < end.time && end.time < $0.to }?.name
                    ?? "nothing"
            }
            #expect(found == kinds[pair[0].name])
        }
        for kind in kinds.keys { #expect(ends.values.filter { $0[0].name == kind }.count > 300, "\(kind)") }
    }
}
