import Coordination
import Foundation
import Kernels
import SeededNumbers
import ZeroMQ

@testable import Training

/// What bad peers do to a coordinator, one after the other. Every random choice is a function of the seed.
struct Attacks {
    struct Unexpected: Error, CustomStringConvertible { let description: String }

    let endpoint: String
    let context: Context
    var random: SplitMix64

    /// Messages of every kind that a worker may send, and some that only a coordinator may.
    static let messages: [Message] = {
        let facts = StepFacts(lossBits: 1, gradientNormBits: 2, nanoseconds: 3, workers: 4)
        let offer = Offer(
            step: 9, digest: 1, stateDigest: 2, carries: [.init(step: 9, shards: [0, 2])], historyFrom: 2)
        return [
            .hello(Hello(run: 0, name: "x", host: "y", process: 7, threads: 2, software: "z")),
            .hello(
                Hello(run: 0, name: "x", host: "y", process: 7, threads: 2, software: "z", term: .max, offer: offer)),
            .applied(Applied(step: 3, digest: 4)), .heartbeat, .goodbye, .finish,
            .gradient(GradientPart(generation: 2, step: 3, node: TreeNode(level: 2, index: 1), chunk: 4)),
            .nodeResult(NodeResult(generation: 2, step: 3, node: TreeNode(level: 0, index: 1), lossBits: [5])),
            .snapshot(SnapshotPart(step: 3, part: 1)), .carry(CarryPart(step: 4, shard: 3)),
            .history([HistoryRecord(step: 5, learningRateBits: 6, digest: 7, facts: facts)]),
            .audited(
                AuditReport(
                    generation: 1, step: 2, shard: 3,
                    answer: ShardAnswer(lossBits: 4, carryDigest: 5, chunkDigests: [6, 7]))),
            .lease(Lease(generation: 2, step: 3, shards: [0, 1], carried: [1], resetsCarry: false)),
            .average(AveragePart(step: 3, chunk: 4)), .restart(Restart(generation: 2, step: 3)),
            .commit(
                Commit(
                    step: 3, learningRateBits: 1, clipCoefficientBits: 2, biasCorrection1Bits: 3,
                    biasCorrection2Bits: 4, record: facts)),
            .recall(Recall(step: 4, wantsReplica: true, shards: [0], historyFrom: 2)),
        ]
    }()

    private func peer(identity: [UInt8]? = nil) throws -> RawPeer {
        try RawPeer(endpoint, identity: identity, context: context)
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(count))
    }

    // MARK: Bytes

    /// Random frames from identities of every length.
    mutating func noise() throws {
        for length in [1, 8, 9, 10, 255] {
            // The first byte may not be 0: such ids are ZeroMQ's own.
            let noisy = try peer(identity: [0x57] + bytes(length - 1))
            for _ in 0..<300 {
                let parts = Int.random(in: 1...5, using: &random)
                try noisy.send((0..<parts).map { _ in bytes(Int.random(in: 0...600, using: &random)) })
            }
        }
    }

    /// Every message cut short at every length, drawn out, in another version, of an unknown kind.
    mutating func malformed() throws {
        var liar = try peer()
        for message in Self.messages {
            let whole = liar.frames(message)[0]
            for count in 0..<whole.count { try liar.send([Array(whole.prefix(count))]) }
            try liar.send([whole + [0]])
            try liar.send([whole[0..<2] + [99] + whole[3...]].map { Array($0) })
            try liar.send([whole[0..<3] + [200] + whole[4...]].map { Array($0) })
        }
    }

    /// Sound messages with some bytes changed, each with a sequence that could be the next.
    mutating func mutated() throws {
        for _ in 0..<20 {
            var liar = try peer()
            for _ in 0..<150 {
                let message = Self.messages.randomElement(using: &random)!
                var frames = liar.frames(message, payload: Bool.random(using: &random) ? bytes(64) : nil)
                // Never the envelope of 36 bytes, so that what follows it is looked at.
                guard frames[0].count > 36 else { continue }
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    frames[0][Int.random(in: 36..<frames[0].count, using: &random)] = UInt8(
                        truncatingIfNeeded: random.next())
                }
                try liar.send(frames)
            }
        }
    }

    /// Frames and messages of every size up to beyond the limits: 600 MB in all.
    mutating func oversized() throws {
        let limit = 4 << 20
        let large = bytes(limit)
        var liar = try peer()
        for _ in 0..<50 { try liar.send([large]) }
        for _ in 0..<100 { try liar.send(liar.frames(.heartbeat, payload: large)) }
        for _ in 0..<3 { try liar.send(Array(repeating: [1], count: 20_000)) }
        try liar.send([liar.frames(.heartbeat)[0] + bytes(1 << 20)])
        // The transport hangs up on these; the peer connects again by itself.
        for _ in 0..<3 {
            let cut = try peer()
            try cut.send([large + [0]])
            _ = try Poller.wait(socket: cut.socket, milliseconds: 50)
        }
    }

    /// Connections that do not speak ZeroMQ, or not for long.
    mutating func streams() throws {
        var open: [RawStream] = []
        for round in 0..<40 {
            guard let stream = RawStream(endpoint) else { throw Unexpected(description: "no connection") }
            switch round % 4 {
            case 0: stream.write(bytes(100_000))
            case 1: stream.write(RawStream.greeting + bytes(100_000))
            // A ready command, and a frame that declares 2^62 bytes.
            case 2: stream.write(RawStream.greeting + [4, 26, 5] + Array("READY".utf8) + bytes(20) + [2, 0x40])
            default: stream.write(Array(RawStream.greeting.prefix(12)))
            }
            if round % 2 == 1 { open.append(stream) }
        }
    }

    // MARK: Sessions

    /// Greets as the lie's name, takes part as an honest worker would until it has a lease, and then lies.
    private func lie(
        _ name: String, sharing memory: SharedPlace? = nil, expecting code: Refusal.Code?,
        _ lie: (inout RawPeer, Lease) throws -> Void
    ) throws {
        var liar = try peer()
        var lease = try liar.join(name: name, memory: memory)
        try lie(&liar, lease)
        guard let code else { return }
        // A lie about a step that is over by now is discarded: again, about the next one.
        var heard: Refusal?
        while heard == nil {
            switch try liar.hear() {
            case .refuse(let refusal): heard = refusal
            case .lease(let next):
                lease = next
                try lie(&liar, lease)
            case nil: throw Unexpected(description: "\(name) was not refused")
            default: break
            }
        }
        let refusal = heard!
        guard refusal.code == code else { throw Unexpected(description: "\(name): \(refusal)") }
        // Whatever it says now is outside of a session.
        try liar.say(.heartbeat)
        guard try liar.hearRefusal().code == .sessionBroken else {
            throw Unexpected(description: "\(name) may go on talking")
        }
    }

    /// The gradient of the lease's first shard.
    private static func gradient(_ lease: Lease, generation: UInt32 = 0, chunk: UInt32 = 0) -> Message {
        .gradient(
            GradientPart(
                generation: lease.generation + generation, step: lease.step,
                node: TreeNode(level: 0, index: Int(lease.shards[0])), chunk: chunk))
    }

    /// Says that the gradient of the lease's first shard lies at a place.
    private static func lending(_ lease: Lease, _ place: SharedPlace) -> Message {
        guard case .gradient(var part) = gradient(lease) else { preconditionFailure("a gradient is one") }
        part.memory = place
        return .gradient(part)
    }

    private static func floats(_ value: Float, bytes: Int) -> [UInt8] {
        Array(repeating: value, count: bytes / 4).withUnsafeBytes { Array($0) }
    }

    /// Workers that are let in, and then break the protocol or lie.
    mutating func sessions() throws {
        for value in [Float.nan, .infinity] {
            try lie("sends \(value)", expecting: .replicaDiffers) { peer, lease in
                try peer.say(Self.gradient(lease), payload: Self.floats(value, bytes: peer.chunkBytes(0)))
            }
        }
        try lie("wrong shape", expecting: .protocolViolation) { peer, lease in
            try peer.say(Self.gradient(lease), payload: Self.floats(0, bytes: peer.chunkBytes(0) - 4))
        }
        try lie("no payload", expecting: .protocolViolation) { peer, lease in try peer.say(Self.gradient(lease)) }
        try lie("no such chunk", expecting: .protocolViolation) { peer, lease in
            try peer.say(Self.gradient(lease, chunk: 60_000), payload: [])
        }
        try lie("other generation", expecting: .protocolViolation) { peer, lease in
            try peer.say(
                Self.gradient(lease, generation: 1000), payload: Self.floats(0, bytes: peer.chunkBytes(0)))
        }
        try lie("steps ahead", expecting: .protocolViolation) { peer, lease in
            try peer.say(.applied(Applied(step: lease.step + 100, digest: 1)))
        }
        try lie("false digest", expecting: .replicaDiffers) { peer, lease in
            try peer.say(.applied(Applied(step: lease.step, digest: 1)))
        }
        try lie("reorders", expecting: .sessionBroken) { peer, _ in try peer.send(peer.frames(.heartbeat, skipping: 1))
        }
        try lie("acknowledges too much", expecting: .sessionBroken) { peer, _ in
            try peer.send(peer.frames(.heartbeat, acknowledging: 1 << 40))
        }
        try lie("other run", expecting: .protocolViolation) { peer, _ in
            try peer.send(peer.frames(.heartbeat, run: peer.run + 1))
        }
        for message: Message in [.finish, .restart(Restart(generation: 1, step: 1)), Self.messages[12]] {
            try lie("out of turn", expecting: .protocolViolation) { peer, _ in try peer.say(message) }
        }
        try lie("replays", expecting: nil) { peer, lease in
            // Every message but the greeting again, twice: all are discarded, and the session stands.
            for frames in peer.said.dropFirst() + peer.said.dropFirst() { try peer.send(frames) }
            try peer.say(.heartbeat)
            try peer.say(.goodbye)
        }
    }

    /// Workers that say of memory what is not so.
    mutating func memory() throws {
        let probe = try SharedMemory(byteCount: MemoryProbe.byteCount)
        var strange = probe.place
        strange.tag &+= 1
        try lie("offers nothing", sharing: strange, expecting: .protocolViolation) { peer, lease in
            guard !peer.isSharing else { throw Unexpected(description: "memory was opened under another name") }
            try peer.say(Self.lending(lease, probe.place))
        }
        try lie("unasked", expecting: .protocolViolation) { peer, lease in
            try peer.say(Self.lending(lease, probe.place))
        }
        for (name, place) in [("strange", strange), ("too small", probe.place)] {
            try lie(name, sharing: probe.place, expecting: .sessionBroken) { peer, lease in
                guard peer.isSharing else { throw Unexpected(description: "memory was not shared") }
                try peer.say(Self.lending(lease, place))
            }
        }
        let gradient = try FloatBuffer(sharing: ChunkLayout.chunkFloats)
        gradient[0] = .nan
        try lie("lends NaN", sharing: probe.place, expecting: .replicaDiffers) { peer, lease in
            try peer.say(Self.lending(lease, gradient.place!))
        }
        // One that is gone is to join anew.
        try lie("gone", sharing: probe.place, expecting: .sessionBroken) { peer, lease in
            try peer.say(.goodbye)
            try peer.say(Self.lending(lease, probe.place))
        }
        try lie("twice", sharing: probe.place, expecting: .protocolViolation) { peer, lease in
            try peer.say(Self.lending(lease, probe.place), payload: Self.floats(0, bytes: peer.chunkBytes(0)))
        }
    }

    /// Speaks in the name of another member, and connects with its routing id.
    mutating func imitation() throws {
        var victim = try peer()
        _ = try victim.join(name: "victim")
        var thief = try peer()
        for message in Self.messages { try thief.send(thief.frames(message, asWorker: victim.worker)) }
        guard try thief.hearRefusal().code == .protocolViolation else {
            throw Unexpected(description: "a thief was not refused")
        }
        let twin = try peer(identity: RoutingIdentity.bytes(victim.worker))
        // Nobody reads what the twin says, so its socket may never take it.
        for frames in victim.said where try Poller.waitUntilWritable(socket: twin.socket, milliseconds: 20) {
            _ = try twin.socket.send(frames)
        }
        // The whole conversation again, from a stranger.
        let parrot = try peer()
        for frames in victim.said { try parrot.send(frames) }
        // The victim's session is none the worse for it.
        try victim.say(.heartbeat)
        _ = try victim.hear("a heartbeat") { if case .heartbeat = $0 { true } else { false } }
        try victim.say(.goodbye)
    }

    /// Greets a thousand times under one name, and under many.
    mutating func crowd() throws {
        let count = 60
        for round in 0..<count {
            var greeter = try peer()
            for _ in 0..<10 { try greeter.send(greeter.frames(Self.messages[0])) }
            try greeter.send(greeter.frames(Self.messages[round % 2]))
        }
    }

    mutating func all() throws {
        try noise()
        try malformed()
        try mutated()
        try streams()
        try sessions()
        try memory()
        try imitation()
        try crowd()
        try oversized()
    }
}
