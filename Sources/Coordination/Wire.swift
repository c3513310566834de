/// The envelope of every message: who speaks, for which run, and where in the session's order.
package struct Envelope: Equatable, Sendable {
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
            "the peer speaks protocol version \(version), this program version \(Wire.version): upgrade the older one"
        case .unknownKind(let kind): "unknown message kind \(kind)"
        case .truncated: "the message ends too early"
        case .trailingBytes(let count): "\(count) bytes stand behind the message"
        case .outOfBounds(let field): "the field \(field) is out of bounds"
        case .invalidText: "a text field is not valid UTF-8"
        }
    }
}

/// The control frame: little-endian, versioned, every length bounded, every enum checked.
package enum Wire {
    package static let version: UInt8 = 1
    static let mark: [UInt8] = [0x4C, 0x53]

    /// Bounds that both sides keep. A worker never needs more.
    package static let maximumControlBytes = 1 << 20
    package static let maximumText = 256
    package static let maximumConfiguration = 1 << 18
    package static let maximumShards = 4096

    package static func encode(_ message: Message, _ envelope: Envelope) -> [UInt8] {
        var writer = ByteWriter()
        writer.bytes = mark + [version, kind(message)]
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
        case .welcome(let welcome):
            writer.put(welcome.run)
            writer.put(welcome.step)
            writer.put(welcome.snapshotParts)
            writer.put(blob: welcome.configuration)
        case .refuse(let refusal):
            writer.put(refusal.code.rawValue)
            writer.put(text: refusal.reason)
        case .snapshot(let part):
            writer.put(part.step)
            writer.put(part.part)
        case .lease(let lease):
            writer.put(lease.generation)
            writer.put(lease.step)
            writer.put(UInt8(lease.resetsCarry ? 1 : 0))
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
        case .applied(let applied):
            writer.put(applied.step)
            writer.put(applied.digest)
        case .heartbeat, .goodbye, .finish: break
        }
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(WireError) -> (Message, Envelope) {
        guard bytes.count >= 4, bytes[0] == mark[0], bytes[1] == mark[1] else { throw .notLockstep }
        guard bytes[2] == version else { throw .otherVersion(bytes[2]) }
        guard bytes.count <= maximumControlBytes else { throw .outOfBounds("length") }
        var reader = ByteReader(bytes: bytes, position: 4)
        let envelope = Envelope(
            run: try reader.take(), worker: try reader.take(), sequence: try reader.take(),
            acknowledged: try reader.take())
        let message = try decodeBody(kind: bytes[3], &reader)
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        return (message, envelope)
    }

    private static func decodeBody(kind: UInt8, _ reader: inout ByteReader) throws(WireError) -> Message {
        switch kind {
        case 1:
            let run: UInt64 = try reader.take()
            let process: UInt32 = try reader.take()
            let threads: UInt32 = try reader.take()
            guard threads >= 1, threads <= 4096 else { throw .outOfBounds("threads") }
            return .hello(
                Hello(
                    run: run, name: try reader.takeText(), host: try reader.takeText(), process: process,
                    threads: threads, software: try reader.takeText()))
        case 2:
            return .welcome(
                Welcome(
                    run: try reader.take(), step: try reader.take(), snapshotParts: try reader.take(),
                    configuration: try reader.takeBlob(limit: maximumConfiguration)))
        case 3:
            guard let code = Refusal.Code(rawValue: try reader.take()) else { throw .outOfBounds("refusal code") }
            return .refuse(Refusal(code: code, reason: try reader.takeText()))
        case 4: return .snapshot(SnapshotPart(step: try reader.take(), part: try reader.take()))
        case 5:
            let generation: UInt32 = try reader.take()
            let step: UInt64 = try reader.take()
            let flag: UInt8 = try reader.take()
            guard flag <= 1 else { throw .outOfBounds("reset flag") }
            let shards = try reader.takeList()
            let carried = try reader.takeList()
            guard Set(carried).isSubset(of: shards), !shards.isEmpty else { throw .outOfBounds("carried shards") }
            return .lease(
                Lease(generation: generation, step: step, shards: shards, carried: carried, resetsCarry: flag == 1))
        case 6:
            let generation: UInt32 = try reader.take()
            let step: UInt64 = try reader.take()
            let level: UInt8 = try reader.take()
            let index: UInt32 = try reader.take()
            guard level <= 12, index < UInt32(maximumShards) else { throw .outOfBounds("tree node") }
            return .gradient(
                GradientPart(
                    generation: generation, step: step, node: TreeNode(level: Int(level), index: Int(index)),
                    chunk: try reader.take()))
        case 7:
            return .shardResult(
                ShardResult(
                    generation: try reader.take(), step: try reader.take(), shard: try reader.take(),
                    lossBits: try reader.take()))
        case 8: return .average(AveragePart(step: try reader.take(), chunk: try reader.take()))
        case 9:
            return .commit(
                Commit(
                    step: try reader.take(), learningRateBits: try reader.take(),
                    clipCoefficientBits: try reader.take(), biasCorrection1Bits: try reader.take(),
                    biasCorrection2Bits: try reader.take()))
        case 10: return .applied(Applied(step: try reader.take(), digest: try reader.take()))
        case 11: return .heartbeat
        case 12: return .goodbye
        case 13: return .finish
        default: throw .unknownKind(kind)
        }
    }

    private static func kind(_ message: Message) -> UInt8 {
        switch message {
        case .hello: 1
        case .welcome: 2
        case .refuse: 3
        case .snapshot: 4
        case .lease: 5
        case .gradient: 6
        case .shardResult: 7
        case .average: 8
        case .commit: 9
        case .applied: 10
        case .heartbeat: 11
        case .goodbye: 12
        case .finish: 13
        }
    }
}
