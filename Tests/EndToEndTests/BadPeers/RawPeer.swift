import Coordination
import Foundation
import Kernels
import LanguageModel
import ZeroMQ

@testable import Training

/// A peer that speaks the protocol by hand, rightly or wrongly. Belongs to the thread that made it.
struct RawPeer: ~Copyable {
    /// What the coordinator did not do in time.
    struct Unanswered: Error, CustomStringConvertible { let description: String }

    let socket: Socket
    let worker: WorkerID
    private(set) var sequence: UInt64 = 0
    var run: UInt64 = 0
    private(set) var heard: UInt64 = 0
    /// All that was said, to be said again.
    private(set) var said: [[[UInt8]]] = []
    private var replica: Replica?
    private var average: FloatBuffer?

    /// - Parameter identity: its routing id; nil for that of a worker.
    init(_ endpoint: String, identity: [UInt8]? = nil, context: Context, receiveHighWaterMark: Int = 1000) throws {
        let worker = UInt64.random(in: 1 ... .max)
        let socket = try Socket(.dealer, context: context)
        try socket.set(.routingID(identity ?? RoutingIdentity.bytes(worker)))
        try socket.set(.linger(milliseconds: 0))
        try socket.set(.immediate(true))
        try socket.set(.sendHighWaterMark(1000))
        try socket.set(.receiveHighWaterMark(receiveHighWaterMark))
        try socket.connect(endpoint)
        self.worker = worker
        self.socket = socket
    }

    // MARK: Speaking

    /// Sends frames as they are. Where the coordinator has hung up, they are lost.
    func send(_ frames: [[UInt8]]) throws {
        for _ in 0..<200 {
            if try socket.send(frames) == .sent { return }
            _ = try Poller.waitUntilWritable(socket: socket, milliseconds: 50)
        }
        throw Unanswered(description: "the coordinator takes no message in 10 s")
    }

    /// The frames of the next message of its session.
    mutating func frames(
        _ message: Message, payload: [UInt8]? = nil, skipping: UInt64 = 0, acknowledging: UInt64 = 0,
        asWorker other: WorkerID? = nil, run otherRun: UInt64? = nil
    ) -> [[UInt8]] {
        sequence += 1 + skipping
        let envelope = Envelope(
            run: otherRun ?? run, worker: other ?? worker, sequence: sequence, acknowledged: heard + acknowledging)
        return [Wire.encode(message, envelope)] + (payload.map { [$0] } ?? [])
    }

    mutating func say(_ message: Message, payload: [UInt8]? = nil) throws {
        let frames = frames(message, payload: payload)
        said.append(frames)
        try send(frames)
    }

    // MARK: Listening

    /// The next message; nil where none comes in `seconds`.
    mutating func hear(seconds: Double = 10) throws -> Message? {
        let end = ContinuousClock.now + .seconds(seconds)
        repeat {
            if let received = try socket.receive(maximumParts: 2) {
                let (message, envelope) = try Wire.decode(received.bytes(0))
                if envelope.sequence > 0 { heard = envelope.sequence }
                if run == 0 { run = envelope.run }
                let payload = received.partCount > 1 ? received.bytes(1) : []
                try follow(message, payload)
                return message
            }
            _ = try Poller.wait(socket: socket, milliseconds: 20)
        } while ContinuousClock.now < end
        return nil
    }

    /// Listens until `wanted` says yes, and returns that message.
    mutating func hear(_ what: String, where wanted: (Message) -> Bool) throws -> Message {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            guard let message = try hear() else { break }
            if wanted(message) { return message }
            if case .refuse(let refusal) = message {
                throw Unanswered(description: "waited for \(what), and was refused: \(refusal.reason)")
            }
        }
        throw Unanswered(description: "waited in vain for \(what)")
    }

    mutating func hearRefusal() throws -> Refusal {
        guard case .refuse(let refusal) = try hear("a refusal", where: { if case .refuse = $0 { true } else { false } })
        else { throw Unanswered(description: "no refusal") }
        return refusal
    }

    // MARK: As a worker does

    /// Greets, takes the snapshot in, follows the run and reports its replica: the coordinator then holds it ready.
    ///
    /// - Returns: its first lease.
    mutating func join(name: String, memory: SharedPlace? = nil) throws -> Lease {
        try greet(name: name, memory: memory)
        let message = try hear("a lease") { if case .lease = $0 { true } else { false } }
        guard case .lease(let lease) = message else { throw Unanswered(description: "no lease") }
        return lease
    }

    mutating func greet(name: String, memory: SharedPlace? = nil) throws {
        try say(
            .hello(
                Hello(run: 0, name: name, host: "nowhere", process: 1, threads: 1, software: "raw", memory: memory)))
    }

    /// The size of a chunk's payload.
    func chunkBytes(_ chunk: Int) -> Int { replica!.chunks.range(chunk).count * 4 }

    /// Whether the coordinator has opened the memory that it offered.
    private(set) var isSharing = false
    private var parts = 0
    /// Whether it takes part as a worker would; else it only listens.
    var isFollowing = true

    private mutating func follow(_ message: Message, _ payload: [UInt8]) throws {
        switch message {
        case _ where !isFollowing: break
        case .welcome(let welcome):
            run = welcome.run
            isSharing = welcome.memory != nil
            let configuration = try JSONDecoder().decode(RunConfiguration.self, from: Data(welcome.configuration))
            replica = Replica(configuration: configuration)
            average = FloatBuffer(count: replica!.chunks.floats)
            parts = 0
        case .snapshot(let part):
            payload.withUnsafeBytes { replica!.fill(part: Int(part.part), from: $0) }
            parts += 1
            if parts == replica!.partCount {
                try say(.applied(Applied(step: part.step, digest: replica!.digest)))
            }
        case .average(let part) where part.memory != nil:
            average = try FloatBuffer(opening: part.memory!, count: replica!.chunks.floats)
        case .average(let part):
            let range = replica!.chunks.range(Int(part.chunk))
            payload.withUnsafeBytes {
                UnsafeMutableRawPointer(average!.base + range.lowerBound)
                    .copyMemory(from: $0.baseAddress!, byteCount: $0.count)
            }
        case .commit(let commit):
            replica!.apply(UpdateScalars(commit), average: average!)
            try say(.applied(Applied(step: commit.step + 1, digest: replica!.digest)))
        default: break
        }
    }
}
