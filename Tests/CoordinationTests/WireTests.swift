import Coordination
import SeededNumbers
import Testing

@Suite("Wire messages")
struct WireTests {
    static let facts = StepFacts(lossBits: 1, gradientNormBits: 2, nanoseconds: 3, workers: 4)
    static let record = HistoryRecord(step: 5, learningRateBits: 6, digest: 7, facts: facts)
    static let place = SharedPlace(process: 7, descriptor: 8, tag: .max - 1)
    static let examples: [Message] = [
        .hello(Hello(run: 9, name: "w1", host: "häst", process: 7, threads: 2, software: "1.0")),
        .hello(
            Hello(
                run: 9, name: "w1", host: "h", process: 7, threads: 2, software: "1.0", term: 5,
                offer: Offer(
                    step: 4, digest: 1, stateDigest: 2,
                    carries: [.init(step: 3, shards: [0, 2]), .init(step: 4, shards: [1])], historyFrom: 2))),
        .welcome(
            Welcome(
                run: 9, term: 5, step: 3, snapshotParts: 6, heartbeatInterval: 7, silenceLimit: 8,
                configuration: [1, 2, 3], faults: "kill@step=5;slow:2")),
        .hello(Hello(run: 0, name: "w", host: "h", process: 7, threads: 2, software: "1", memory: place)),
        .welcome(
            Welcome(
                run: 9, term: 5, step: 3, snapshotParts: 6, heartbeatInterval: 7, silenceLimit: 8, configuration: [],
                memory: place)),
        .recall(Recall(step: 4, wantsReplica: true, shards: [0, 3], historyFrom: 2)),
        .carry(CarryPart(step: 4, shard: 3)), .history([record, record]),
        .audited(
            AuditReport(
                generation: 1, step: 2, shard: 3,
                answer: ShardAnswer(lossBits: 4, carryDigest: 5, chunkDigests: [6, 7]))),
        .restart(Restart(generation: 2, step: 3)),
        .lease(
            Lease(generation: 2, step: 3, shards: [0, 1], carried: [], resetsCarry: true, apart: 1)),
        .lease(Lease(generation: 2, step: 3, shards: [1], carried: [1], resetsCarry: false, isAudit: true)),
        .evaluate(EvaluationLease(step: 3, segments: [0, 4])),
        .evaluated(EvaluationResult(step: 3, segments: [0, 4], lossBits: [1, .max])),
        .refuse(Refusal(code: .replicaDiffers, reason: "differs")),
        .snapshot(SnapshotPart(step: 3, part: 5)),
        .lease(Lease(generation: 2, step: 3, shards: [0, 1, 5], carried: [1], resetsCarry: false)),
        .gradient(GradientPart(generation: 2, step: 3, node: TreeNode(level: 2, index: 1), chunk: 4)),
        .nodeResult(
            NodeResult(
                generation: 2, step: 3, node: TreeNode(level: 1, index: 1), lossBits: [0x3FF0_0000_0000_0000, 7])),
        .average(AveragePart(step: 3, chunk: 4)),
        .gradient(
            GradientPart(generation: 2, step: 3, node: TreeNode(level: 2, index: 1), chunk: 4, memory: place)),
        .average(AveragePart(step: 3, chunk: 4, memory: place)),
        .commit(
            Commit(
                step: 3, learningRateBits: 1, clipCoefficientBits: 2, biasCorrection1Bits: 3, biasCorrection2Bits: 4,
                record: facts)),
        .applied(Applied(step: 3, digest: .max)), .applied(Applied(step: 3, digest: 1, times: times)), .heartbeat,
        .goodbye, .finish, .statusRequest, .status(Array("{}".utf8)),
    ]
    static let times: ComputeTimes = {
        var times = ComputeTimes()
        (times.awaitingLease, times.forward, times.backward, times.awaitingCommit, times.update) = (1, 2, 3, 4, 5)
        times.threads = [
            [
                ThreadSpan(phase: .pack, beforeEnd: .max, length: 3),
                ThreadSpan(phase: .weightGradients, beforeEnd: 7, length: 2),
                ThreadSpan(phase: .update, beforeEnd: 5, length: 5),
            ], [], [ThreadSpan(phase: .backward, beforeEnd: 6, length: 0)],
        ]
        return times
    }()
    static let envelope = Envelope(run: 1, worker: 2, sequence: 3, acknowledged: 4)

    @Test("Every message reads back as it was written", arguments: examples)
    func roundTrip(message: Message) throws {
        let (back, envelope) = try Wire.decode(Wire.encode(message, Self.envelope))
        #expect(back == message)
        #expect(envelope == Self.envelope)
    }

    @Test("A message cut short or drawn out is refused, wherever", arguments: examples)
    func truncation(message: Message) {
        let bytes = Wire.encode(message, Self.envelope)
        for count in 0..<bytes.count {
            #expect(throws: WireError.self) { try Wire.decode(Array(bytes.prefix(count))) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try Wire.decode(bytes + [0]) }
    }

    @Test("Another protocol version is refused by name")
    func version() {
        var bytes = Wire.encode(.heartbeat, Self.envelope)
        bytes[2] = 9
        #expect(throws: WireError.otherVersion(9)) { try Wire.decode(bytes) }
        #expect(WireError.otherVersion(9).description.contains("version 9"))
    }

    @Test("Random bytes behind a right beginning never trap")
    func noise() {
        var random = SplitMix64(seed: 11)
        var refused = 0
        for round in 0..<20_000 {
            var bytes = Wire.encode(Self.examples[round % Self.examples.count], Self.envelope)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if (try? Wire.decode(bytes)) == nil { refused += 1 }
        }
        #expect(refused > 1000)
    }

    @Test("A status that is too long, and times of weeks, are refused")
    func boundsOfWatching() {
        let long = Message.status(Array(repeating: 32, count: Wire.maximumStatus + 1))
        #expect(throws: WireError.outOfBounds("length")) { try Wire.decode(Wire.encode(long, Self.envelope)) }
        var times = ComputeTimes()
        times.update = 1 << 51
        let slow = Message.applied(Applied(step: 1, digest: 1, times: times))
        #expect(throws: WireError.outOfBounds("times")) { try Wire.decode(Wire.encode(slow, Self.envelope)) }
    }

    @Test("Faults are read back up to their bound; a longer plan, or one with control characters, is refused")
    func boundsOfFaults() throws {
        func frame(_ faults: String) -> [UInt8] {
            let welcome = Welcome(
                run: 9, term: 5, step: 3, snapshotParts: 6, heartbeatInterval: 7, silenceLimit: 8, configuration: [],
                faults: faults)
            return Wire.encode(.welcome(welcome), Self.envelope)
        }
        let longest = String(repeating: "k", count: Wire.maximumFaults)
        guard case .welcome(let welcome) = try Wire.decode(frame(longest)).0 else { throw WireError.truncated }
        #expect(welcome.faults == longest)
        var long = frame(longest) + [107]
        long[long.count - Wire.maximumFaults - 3] += 1
        #expect(throws: WireError.outOfBounds("text length")) { try Wire.decode(long) }
        #expect(throws: WireError.invalidText) { try Wire.decode(frame("kill\n")) }
    }

    @Test("What threads were at is bounded, in the order of time and apart, or refused")
    func boundsOfThreads() {
        func error(_ threads: [[ThreadSpan]], changing change: (inout [UInt8]) -> Void = { _ in }) -> WireError? {
            var times = ComputeTimes()
            times.threads = threads
            var bytes = Wire.encode(.applied(Applied(step: 1, digest: 1, times: times)), Self.envelope)
            change(&bytes)
            do throws(WireError) { _ = try Wire.decode(bytes) } catch { return error }
            return nil
        }
        func span(_ beforeEnd: UInt32, _ length: UInt32) -> ThreadSpan {
            ThreadSpan(phase: .forward, beforeEnd: beforeEnd, length: length)
        }
        let full = (0..<ThreadSpan.maximumCount).map { span(1000 - UInt32($0), 1) }
        let all = Array(repeating: full, count: ThreadSpan.maximumThreads)
        #expect(error(all) == nil)
        #expect(error(all + [[]]) == .outOfBounds("told threads"))
        #expect(error([full + [span(1, 1)]]) == .outOfBounds("spans"))
        #expect(error([[span(4, 5)]]) == .outOfBounds("span"))
        #expect(error([[span(9, 3), span(6, 6)]]) == nil)
        #expect(error([[span(9, 3), span(7, 1)]]) == .outOfBounds("span"))
        #expect(error([[span(9, 3)], [span(9, 3)]]) == nil)
        #expect(error([[span(9, 3)]]) { $0[$0.count - 9] = 5 } == .outOfBounds("phase"))
    }

    @Test("What lies on a bound of the format is read, and what lies beyond it refused by the field's name")
    func bounds() {
        func error(_ message: Message, changing change: (inout [UInt8]) -> Void = { _ in }) -> WireError? {
            var bytes = Wire.encode(message, Self.envelope)
            change(&bytes)
            do throws(WireError) { _ = try Wire.decode(bytes) } catch { return error }
            return nil
        }
        func hello(threads: UInt32) -> Message {
            .hello(Hello(run: 9, name: "w", host: "h", process: 7, threads: threads, software: "1"))
        }
        #expect(error(hello(threads: 4096)) == nil)
        for threads: UInt32 in [0, 4097] { #expect(error(hello(threads: threads)) == .outOfBounds("threads")) }

        func lease(_ shards: [UInt32], apart: UInt32? = nil, isAudit: Bool = false) -> Message {
            .lease(
                Lease(
                    generation: 1, step: 2, shards: shards, carried: [], resetsCarry: true, apart: apart,
                    isAudit: isAudit))
        }
        let flags = 4 + 4 * 8 + 4 + 8
        #expect(error(lease([0])) { $0[flags] = 4 } == .outOfBounds("lease flags"))
        #expect(error(lease([])) == .outOfBounds("carried shards"))
        #expect(error(lease([0, 1], apart: 2)) == .outOfBounds("shard apart"))
        #expect(error(lease([0, 1], isAudit: true)) == .outOfBounds("audited shards"))
        #expect(error(lease([4095])) == nil)
        for shards: [UInt32] in [[4096], [2, 2]] { #expect(error(lease(shards)) == .outOfBounds("shard")) }

        func gradient(_ level: Int, _ index: Int) -> Message {
            .gradient(GradientPart(generation: 1, step: 2, node: TreeNode(level: level, index: index), chunk: 0))
        }
        #expect(error(gradient(12, 4095)) == nil)
        for (level, index) in [(13, 0), (0, 4096)] {
            #expect(error(gradient(level, index)) == .outOfBounds("tree node"))
        }

        func history(_ count: Int) -> Message { .history(Array(repeating: Self.record, count: count)) }
        #expect(error(history(Wire.maximumHistory)) == nil)
        #expect(error(history(Wire.maximumHistory + 1)) == .outOfBounds("history"))
        func audited(_ chunks: Int) -> Message {
            let digests = [UInt64](repeating: 1, count: chunks)
            let answer = ShardAnswer(lossBits: 0, carryDigest: 0, chunkDigests: digests)
            return .audited(AuditReport(generation: 1, step: 2, shard: 3, answer: answer))
        }
        #expect(error(audited(Wire.maximumChunks)) == nil)
        #expect(error(audited(Wire.maximumChunks + 1)) == .outOfBounds("chunk digests"))
        func offering(_ steps: Int) -> Message {
            let carries = (0..<steps).map { Offer.Carries(step: UInt64($0), shards: [0]) }
            let offer = Offer(step: 1, digest: 1, stateDigest: 1, carries: carries, historyFrom: 1)
            return .hello(
                Hello(run: 9, name: "w", host: "h", process: 7, threads: 1, software: "1", term: 1, offer: offer))
        }
        #expect(error(offering(4)) == nil)
        #expect(error(offering(5)) == .outOfBounds("offered carries"))
        func welcome(_ bytes: Int) -> Message {
            .welcome(
                Welcome(
                    run: 9, term: 5, step: 3, snapshotParts: 6, heartbeatInterval: 7, silenceLimit: 8,
                    configuration: [UInt8](repeating: 32, count: bytes)))
        }
        #expect(error(welcome(Wire.maximumConfiguration)) == nil)
        #expect(error(welcome(Wire.maximumConfiguration + 1)) == .outOfBounds("length"))
        #expect(error(.evaluate(EvaluationLease(step: 1, segments: []))) == .outOfBounds("segments"))
        let recall = Message.recall(Recall(step: 4, wantsReplica: true, shards: [], historyFrom: 2))
        #expect(error(recall) { $0[4 + 4 * 8 + 8] = 2 } == .outOfBounds("recall flag"))
        // A frame of many bytes is refused before they are looked at.
        let long = [UInt8](repeating: 0, count: Wire.maximumControlBytes)
        #expect(error(.heartbeat) { $0 += long } == .outOfBounds("length"))
    }

    @Test("Shards out of order, or carried without being leased, are refused")
    func shardLists() {
        let unordered = Lease(generation: 1, step: 1, shards: [3, 2], carried: [], resetsCarry: false)
        let foreign = Lease(generation: 1, step: 1, shards: [2, 3], carried: [4], resetsCarry: false)
        for lease in [unordered, foreign] {
            #expect(throws: WireError.self) { try Wire.decode(Wire.encode(.lease(lease), Self.envelope)) }
        }
    }

    @Test(
        "A text with control characters is refused: it would reach logs and terminals",
        arguments: ["a\nb", "\u{1B}[2J", "\u{9B}"])
    func controlCharacters(text: String) {
        let hello = Hello(run: 1, name: text, host: "h", process: 1, threads: 1, software: "s")
        #expect(throws: WireError.invalidText) { try Wire.decode(Wire.encode(.hello(hello), Self.envelope)) }
    }
}
