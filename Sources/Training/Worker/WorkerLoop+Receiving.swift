import Coordination
import Kernels
import ZeroMQ

// What the coordinator sends, checked before it is used.
extension WorkerLoop {
    func handle(_ received: borrowing ReceivedMessage, _ socket: borrowing Socket) {
        do {
            guard received.partCount >= 1, received.partCount <= 2 else { throw WireError.outOfBounds("parts") }
            let (message, envelope) = try Wire.decode(received.bytes(0))
            let payload = received.partCount > 1 ? received.byteCount(1) : 0
            try check(message, payload: payload)
            if payload > 0 {
                try received.withBytes(1) { bytes in
                    let contents = try leaseContents(message, bytes)
                    let segments = try segmentTokens(message, bytes)
                    perform(
                        machine.received(message, envelope, now: clock), socket, payload: bytes, contents: contents,
                        segments: segments)
                }
            } else {
                let lent = try lentAverage(message)
                perform(machine.received(message, envelope, now: clock), socket, lent: lent)
            }
        } catch let error as SharedMemoryError {
            cannotOpen(error)
        } catch WireError.otherVersion(let version) {
            verdict = .failed(
                Failure(
                    description:
                        "the coordinator at \(options.access.endpoint) speaks protocol version \(version), this "
                        + "program version \(Wire.version): install one version on all hosts (lockstep --version)"))
        } catch {
            verdict = .failed(
                Failure(description: "the coordinator at \(options.access.endpoint) sent what makes no sense: \(error)")
            )
        }
    }

    private func check(_ message: Message, payload: Int) throws {
        let expected: Int
        switch message {
        case .snapshot(let part):
            guard let replica = model?.replica, Int(part.part) < replica.partCount else {
                throw WireError.outOfBounds("part")
            }
            expected = replica.part(Int(part.part)).range.count * 4
        case .average(let part):
            guard let replica = model?.replica, Int(part.chunk) < replica.chunks.count else {
                throw WireError.outOfBounds("chunk")
            }
            // Into an average that lies at the coordinator nothing is written.
            guard part.memory != nil || average?.place == nil else { throw WireError.outOfBounds("memory") }
            expected = part.memory == nil ? replica.chunks.range(Int(part.chunk)).count * 4 : 0
        case .lease(let lease):
            guard let configuration = model?.configuration, payload > 0,
                lease.shards.allSatisfy({ $0 < UInt32(configuration.shards) })
            else {
                throw WireError.outOfBounds("shard")
            }
            return
        case .evaluate:
            guard model != nil, payload > 0 else { throw WireError.outOfBounds("segments") }
            return
        default: expected = 0
        }
        guard payload == expected else { throw WireError.outOfBounds("payload") }
    }

    /// The average that a message names and does not carry.
    private func lentAverage(_ message: Message) throws -> FloatBuffer? {
        guard case .average(let part) = message, let place = part.memory, let model else { return nil }
        guard sharedMemory != nil else { throw WireError.outOfBounds("memory") }
        return try sharedMemory!.buffer(at: place, count: model.replica.chunks.floats)
    }

    private func leaseContents(_ message: Message, _ bytes: UnsafeRawBufferPointer) throws -> LeasePayload.Contents? {
        guard case .lease(let lease) = message, let configuration = model?.configuration else { return nil }
        return try LeasePayload.decode(
            bytes, shards: lease.shards.count, carried: lease.carried.count, configuration: configuration)
    }

    private func segmentTokens(_ message: Message, _ bytes: UnsafeRawBufferPointer) throws -> [[UInt32]]? {
        guard case .evaluate(let lease) = message, let configuration = model?.configuration else { return nil }
        return try SegmentPayload.decode(bytes, segments: lease.segments.count, configuration: configuration)
    }
}
