/// The envelope of every message: who speaks, for which run, and where in the session's order.
package struct Envelope: Hashable, Sendable {
    package var run: UInt64
    package var worker: WorkerID
    /// 1 for the first message of a session in this direction, then one more each.
    package var sequence: UInt64
    /// The last sequence received in the other direction: returns credits.
    package var acknowledged: UInt64

    package init(run: UInt64, worker: WorkerID, sequence: UInt64, acknowledged: UInt64) {
        self.run = run
        self.worker = worker
        self.sequence = sequence
        self.acknowledged = acknowledged
    }
}

/// Why bytes are no message of ours.
package enum WireError: Error, Equatable, CustomStringConvertible {
    case notLockstep
    case otherVersion(UInt8)
    case unknownKind(UInt8)
    case truncated
    case trailingBytes(Int)
    case outOfBounds(String)
    case invalidText

    package var description: String {
        switch self {
        case .notLockstep: "the message does not begin with Lockstep's mark"
        case .otherVersion(let version):
            "the peer speaks protocol version \(version), this program version \(Wire.version): install one version on all "
                + "hosts (lockstep --version)"
        case .unknownKind(let kind): "unknown message kind \(kind)"
        case .truncated: "the message ends too early"
        case .trailingBytes(let count): "\(count) bytes stand behind the message"
        case .outOfBounds(let field): "the field \(field) is out of bounds"
        case .invalidText: "a text field is not valid UTF-8, or holds control characters"
        }
    }
}

/// The control frame: little-endian, versioned, every length bounded, every enum checked.
package enum Wire {
    /// One more too where the arithmetic changes: workers of two kinds would give different bits.
    package static let version: UInt8 = 7
    static let mark: [UInt8] = [0x4C, 0x53]

    /// Bounds that both sides keep. A worker never needs more.
    package static let maximumControlBytes = 1 << 20
    /// Bytes of UTF-8 in a text field.
    package static let maximumText = 256
    /// Bytes of JSON.
    package static let maximumConfiguration = 1 << 18
    /// Bytes of UTF-8 in a plan of faults.
    package static let maximumFaults = 1 << 12
    /// Bytes of JSON.
    package static let maximumStatus = 1 << 19
    /// Of segments too.
    package static let maximumShards = 4096
    /// Of a gradient.
    package static let maximumChunks = 1 << 16
    /// Steps whose records a worker keeps.
    package static let maximumHistory = 512
    /// Steps whose carry a worker offers.
    static let maximumCarrySteps = 4

    /// The kinds of messages as they are numbered on the wire.
    private enum Kind: UInt8 {
        case hello = 1
        case welcome = 2
        case refuse = 3
        case snapshot = 4
        case lease = 5
        case gradient = 6
        case shardResult = 7
        case average = 8
        case commit = 9
        case applied = 10
        case heartbeat = 11
        case goodbye = 12
        case finish = 13
        case recall = 14
        case carry = 15
        case history = 16
        case audited = 17
        case restart = 18
        case statusRequest = 19
        case status = 20
        case evaluate = 21
        case evaluated = 22
    }

    /// The control frame. Texts are cut to their bound; the others are the caller's to keep, and ``decode(_:)`` refuses what
    /// breaks them.
    package static func encode(_ message: Message, _ envelope: Envelope) -> [UInt8] {
        var writer = ByteWriter()
        writer.bytes = mark + [version, kind(message).rawValue]
        writer.put(envelope.run)
        writer.put(envelope.worker)
        writer.put(envelope.sequence)
        writer.put(envelope.acknowledged)
        switch message {
        case .hello(let hello):
            writer.put(hello.run)
            writer.put(hello.process)
            writer.put(hello.threads)
            writer.put(text: hello.name)
            writer.put(text: hello.host)
            writer.put(text: hello.software)
            writer.put(hello.term)
            writer.put(UInt8(hello.offer == nil ? 0 : 1))
            if let offer = hello.offer { encode(offer, &writer) }
        case .welcome(let welcome):
            writer.put(welcome.run)
            writer.put(welcome.term)
            writer.put(welcome.step)
            writer.put(welcome.snapshotParts)
            writer.put(welcome.heartbeatInterval)
            writer.put(welcome.silenceLimit)
            writer.put(blob: welcome.configuration)
            writer.put(text: welcome.faults, limit: maximumFaults)
        case .refuse(let refusal):
            writer.put(refusal.code.rawValue)
            writer.put(text: refusal.reason)
        case .snapshot(let part):
            writer.put(part.step)
            writer.put(part.part)
        case .lease(let lease):
            writer.put(lease.generation)
            writer.put(lease.step)
            writer.put(UInt8((lease.resetsCarry ? 1 : 0) | (lease.isAudit ? 2 : 0)))
            writer.put(lease.apart ?? UInt32.max)
            writer.put(list: lease.shards)
            writer.put(list: lease.carried)
        case .gradient(let part):
            writer.put(part.generation)
            writer.put(part.step)
            writer.put(UInt8(part.node.level))
            writer.put(UInt32(part.node.index))
            writer.put(part.chunk)
        case .shardResult(let result):
            writer.put(result.generation)
            writer.put(result.step)
            writer.put(result.shard)
            writer.put(result.lossBits)
        case .average(let part):
            writer.put(part.step)
            writer.put(part.chunk)
        case .commit(let commit):
            writer.put(commit.step)
            writer.put(commit.learningRateBits)
            writer.put(commit.clipCoefficientBits)
            writer.put(commit.biasCorrection1Bits)
            writer.put(commit.biasCorrection2Bits)
            encode(commit.record, &writer)
        case .applied(let applied):
            writer.put(applied.step)
            writer.put(applied.digest)
            encode(applied.times, &writer)
        case .heartbeat, .goodbye, .finish, .statusRequest: break
        case .recall(let recall):
            writer.put(recall.step)
            writer.put(UInt8(recall.wantsReplica ? 1 : 0))
            writer.put(list: recall.shards)
            writer.put(recall.historyFrom)
        case .carry(let part):
            writer.put(part.step)
            writer.put(part.shard)
        case .history(let records):
            writer.put(UInt32(records.count))
            for record in records {
                writer.put(record.step)
                writer.put(record.learningRateBits)
                writer.put(record.digest)
                encode(record.facts, &writer)
            }
        case .audited(let report):
            writer.put(report.generation)
            writer.put(report.step)
            writer.put(report.shard)
            writer.put(report.answer.lossBits)
            writer.put(report.answer.carryDigest)
            writer.put(UInt32(report.answer.chunkDigests.count))
            for digest in report.answer.chunkDigests { writer.put(digest) }
        case .restart(let restart):
            writer.put(restart.generation)
            writer.put(restart.step)
        case .status(let snapshot): writer.put(blob: snapshot)
        case .evaluate(let lease):
            writer.put(lease.step)
            writer.put(list: lease.segments)
        case .evaluated(let result):
            writer.put(result.step)
            writer.put(list: result.segments)
            for bits in result.lossBits { writer.put(bits) }
        }
        return writer.bytes
    }

    private static func encode(_ offer: Offer, _ writer: inout ByteWriter) {
        writer.put(offer.step)
        writer.put(offer.digest)
        writer.put(offer.stateDigest)
        writer.put(offer.historyFrom)
        writer.put(UInt8(offer.carries.count))
        for carries in offer.carries {
            writer.put(carries.step)
            writer.put(list: carries.shards)
        }
    }

    private static func encode(_ times: ComputeTimes, _ writer: inout ByteWriter) {
        writer.put(times.awaitingLease)
        writer.put(times.forward)
        writer.put(times.backward)
        writer.put(times.awaitingCommit)
        writer.put(times.update)
        writer.put(UInt8(times.threads.count))
        for spans in times.threads {
            writer.put(UInt8(spans.count))
            for span in spans {
                writer.put(span.phase.rawValue)
                writer.put(span.beforeEnd)
                writer.put(span.length)
            }
        }
    }

    private static func encode(_ facts: StepFacts, _ writer: inout ByteWriter) {
        writer.put(facts.lossBits)
        writer.put(facts.gradientNormBits)
        writer.put(facts.nanoseconds)
        writer.put(facts.workers)
    }

    /// Reads a control frame that anyone may have sent.
    ///
    /// - Throws: ``WireError``: `notLockstep`, then `otherVersion`, whatever follows them; else what breaks the format
    ///   first.
    package static func decode(_ bytes: [UInt8]) throws(WireError) -> (Message, Envelope) {
        guard bytes.count >= 4, bytes[0] == mark[0], bytes[1] == mark[1] else { throw .notLockstep }
        guard bytes[2] == version else { throw .otherVersion(bytes[2]) }
        guard bytes.count <= maximumControlBytes else { throw .outOfBounds("length") }
        var reader = ByteReader(bytes: bytes, position: 4)
        let envelope = Envelope(
            run: try reader.take(), worker: try reader.take(), sequence: try reader.take(),
            acknowledged: try reader.take())
        guard let kind = Kind(rawValue: bytes[3]) else { throw .unknownKind(bytes[3]) }
        let message = try decodeBody(kind, &reader)
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        return (message, envelope)
    }

    private static func decodeBody(_ kind: Kind, _ reader: inout ByteReader) throws(WireError) -> Message {
        switch kind {
        case .hello:
            let run: UInt64 = try reader.take()
            let process: UInt32 = try reader.take()
            let threads: UInt32 = try reader.take()
            guard threads >= 1, threads <= 4096 else { throw .outOfBounds("threads") }
            var hello = Hello(
                run: run, name: try reader.takeText(), host: try reader.takeText(), process: process,
                threads: threads, software: try reader.takeText(), term: try reader.take())
            if try reader.takeFlag("offer") { hello.offer = try takeOffer(&reader) }
            return .hello(hello)
        case .welcome:
            return .welcome(
                Welcome(
                    run: try reader.take(), term: try reader.take(), step: try reader.take(),
                    snapshotParts: try reader.take(), heartbeatInterval: try reader.take(),
                    silenceLimit: try reader.take(), configuration: try reader.takeBlob(limit: maximumConfiguration),
                    faults: try reader.takeText(limit: maximumFaults)))
        case .refuse:
            guard let code = Refusal.Code(rawValue: try reader.take()) else { throw .outOfBounds("refusal code") }
            return .refuse(Refusal(code: code, reason: try reader.takeText()))
        case .snapshot: return .snapshot(SnapshotPart(step: try reader.take(), part: try reader.take()))
        case .lease:
            let generation: UInt32 = try reader.take()
            let step: UInt64 = try reader.take()
            let flags: UInt8 = try reader.take()
            guard flags <= 3 else { throw .outOfBounds("lease flags") }
            let apart: UInt32 = try reader.take()
            let shards = try reader.takeList()
            let carried = try reader.takeList()
            guard Set(carried).isSubset(of: shards), !shards.isEmpty else { throw .outOfBounds("carried shards") }
            guard apart == .max || shards.contains(apart) else { throw .outOfBounds("shard apart") }
            let isAudit = flags & 2 != 0
            guard !isAudit || shards.count == 1 else { throw .outOfBounds("audited shards") }
            return .lease(
                Lease(
                    generation: generation, step: step, shards: shards, carried: carried, resetsCarry: flags & 1 != 0,
                    apart: apart == .max ? nil : apart, isAudit: isAudit))
        case .gradient:
            let generation: UInt32 = try reader.take()
            let step: UInt64 = try reader.take()
            let level: UInt8 = try reader.take()
            let index: UInt32 = try reader.take()
            guard level <= 12, index < UInt32(maximumShards) else { throw .outOfBounds("tree node") }
            return .gradient(
                GradientPart(
                    generation: generation, step: step, node: TreeNode(level: Int(level), index: Int(index)),
                    chunk: try reader.take()))
        case .shardResult:
            return .shardResult(
                ShardResult(
                    generation: try reader.take(), step: try reader.take(), shard: try reader.take(),
                    lossBits: try reader.take()))
        case .average: return .average(AveragePart(step: try reader.take(), chunk: try reader.take()))
        case .commit:
            return .commit(
                Commit(
                    step: try reader.take(), learningRateBits: try reader.take(),
                    clipCoefficientBits: try reader.take(), biasCorrection1Bits: try reader.take(),
                    biasCorrection2Bits: try reader.take(), record: try takeFacts(&reader)))
        case .applied:
            return .applied(
                Applied(step: try reader.take(), digest: try reader.take(), times: try takeTimes(&reader)))
        case .heartbeat: return .heartbeat
        case .goodbye: return .goodbye
        case .finish: return .finish
        case .recall:
            return .recall(
                Recall(
                    step: try reader.take(), wantsReplica: try reader.takeFlag("recall flag"),
                    shards: try reader.takeList(), historyFrom: try reader.take()))
        case .carry: return .carry(CarryPart(step: try reader.take(), shard: try reader.take()))
        case .history:
            let count = try reader.takeCount(limit: maximumHistory, "history")
            var records: [HistoryRecord] = []
            for _ in 0..<count {
                records.append(
                    HistoryRecord(
                        step: try reader.take(), learningRateBits: try reader.take(), digest: try reader.take(),
                        facts: try takeFacts(&reader)))
            }
            return .history(records)
        case .audited:
            var report = AuditReport(
                generation: try reader.take(), step: try reader.take(), shard: try reader.take(),
                answer: ShardAnswer(
                    lossBits: try reader.take(), carryDigest: try reader.take(), chunkDigests: []))
            let count = try reader.takeCount(limit: maximumChunks, "chunk digests")
            for _ in 0..<count { report.answer.chunkDigests.append(try reader.take()) }
            return .audited(report)
        case .restart: return .restart(Restart(generation: try reader.take(), step: try reader.take()))
        case .statusRequest: return .statusRequest
        case .status: return .status(try reader.takeBlob(limit: maximumStatus))
        case .evaluate:
            let lease = EvaluationLease(step: try reader.take(), segments: try reader.takeList())
            guard !lease.segments.isEmpty else { throw .outOfBounds("segments") }
            return .evaluate(lease)
        case .evaluated:
            var result = EvaluationResult(step: try reader.take(), segments: try reader.takeList(), lossBits: [])
            for _ in result.segments { result.lossBits.append(try reader.take()) }
            return .evaluated(result)
        }
    }

    private static func takeOffer(_ reader: inout ByteReader) throws(WireError) -> Offer {
        var offer = Offer(
            step: try reader.take(), digest: try reader.take(), stateDigest: try reader.take(), carries: [],
            historyFrom: try reader.take())
        let count: UInt8 = try reader.take()
        guard count <= maximumCarrySteps else { throw .outOfBounds("offered carries") }
        for _ in 0..<count {
            offer.carries.append(Offer.Carries(step: try reader.take(), shards: try reader.takeList()))
        }
        return offer
    }

    private static func takeTimes(_ reader: inout ByteReader) throws(WireError) -> ComputeTimes {
        var times = ComputeTimes()
        times.awaitingLease = try reader.take()
        times.forward = try reader.take()
        times.backward = try reader.take()
        times.awaitingCommit = try reader.take()
        times.update = try reader.take()
        let all = [times.awaitingLease, times.forward, times.backward, times.awaitingCommit, times.update]
        guard all.allSatisfy({ $0 <= ComputeTimes.limit }) else { throw .outOfBounds("times") }
        let threads: UInt8 = try reader.take()
        guard Int(threads) <= ThreadSpan.maximumThreads else { throw .outOfBounds("told threads") }
        for _ in 0..<threads { times.threads.append(try takeSpans(&reader)) }
        return times
    }

    private static func takeSpans(_ reader: inout ByteReader) throws(WireError) -> [ThreadSpan] {
        let count: UInt8 = try reader.take()
        guard Int(count) <= ThreadSpan.maximumCount else { throw .outOfBounds("spans") }
        var spans: [ThreadSpan] = []
        var free = UInt32.max
        for _ in 0..<count {
            guard let phase = ThreadSpan.Phase(rawValue: try reader.take()) else { throw .outOfBounds("phase") }
            let span = ThreadSpan(phase: phase, beforeEnd: try reader.take(), length: try reader.take())
            guard span.beforeEnd <= free, span.length <= span.beforeEnd else { throw .outOfBounds("span") }
            free = span.beforeEnd - span.length
            spans.append(span)
        }
        return spans
    }

    private static func takeFacts(_ reader: inout ByteReader) throws(WireError) -> StepFacts {
        StepFacts(
            lossBits: try reader.take(), gradientNormBits: try reader.take(), nanoseconds: try reader.take(),
            workers: try reader.take())
    }

    private static func kind(_ message: Message) -> Kind {
        switch message {
        case .hello: .hello
        case .welcome: .welcome
        case .refuse: .refuse
        case .snapshot: .snapshot
        case .lease: .lease
        case .gradient: .gradient
        case .shardResult: .shardResult
        case .average: .average
        case .commit: .commit
        case .applied: .applied
        case .heartbeat: .heartbeat
        case .goodbye: .goodbye
        case .finish: .finish
        case .recall: .recall
        case .carry: .carry
        case .history: .history
        case .audited: .audited
        case .restart: .restart
        case .statusRequest: .statusRequest
        case .status: .status
        case .evaluate: .evaluate
        case .evaluated: .evaluated
        }
    }
}
