package import Coordination
import Foundation
import ZeroMQ

/// Asks a live coordinator how its run goes.
package struct StatusClient {
    /// Why there is no answer, and what to do, in one line.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Asks once, and waits for the answer.
    ///
    /// - Parameters:
    ///   - endpoint: the coordinator's address.
    ///   - keys: for a coordinator that has keys: a worker's, or the coordinator's own.
    ///   - timeout: seconds to wait for the answer.
    /// - Throws: ``Failure`` where nobody answers in time or the answer makes no sense; ``ZeroMQError`` where the endpoint
    ///   is malformed; ``ConfigurationError`` where the keys cannot be read.
    package static func snapshot(
        of endpoint: String, keys: WorkerAccess.Keys? = nil, timeout: Double
    ) throws -> RunSnapshot {
        let identity = UInt64.random(in: 1...UInt64.max)
        let socket = try Socket(.dealer, context: Context())
        try socket.prepare(maximumFrame: Socket.maximumFrame)
        try socket.set(.routingID(RoutingIdentity.bytes(identity)))
        try socket.set(.immediate(true))
        if let keys = try keys?.read() { try socket.set(.curveClient(keys.pair, server: keys.server)) }
        try socket.connect(endpoint)
        let deadline = ContinuousClock.now + .seconds(timeout)
        func remaining() -> Int { max(0, Int((deadline - ContinuousClock.now) / .milliseconds(1))) }
        let silent = Failure(
            description:
                "no coordinator answered at \(endpoint) within \(timeout) s: check that it runs, the address, "
                + "and --keys where it has keys")
        guard try Poller.waitUntilWritable(socket: socket, milliseconds: remaining()) else { throw silent }
        let envelope = Envelope(run: 0, worker: identity, sequence: 1, acknowledged: 0)
        guard try socket.send(control: Wire.encode(.statusRequest, envelope)) == .sent else { throw silent }
        while true {
            if let received = try socket.receive(maximumParts: 3) {
                return try answer(received, from: endpoint)
            }
            guard remaining() > 0 else { throw silent }
            _ = try Poller.wait(socket: socket, milliseconds: min(remaining(), 100))
        }
    }

    private static func answer(_ received: borrowing ReceivedMessage, from endpoint: String) throws -> RunSnapshot {
        do {
            guard received.partCount == 1 else { throw WireError.outOfBounds("parts") }
            switch try Wire.decode(received.bytes(0)).0 {
            case .status(let bytes): return try RunSnapshot(encoded: bytes)
            case .refuse(let refusal): throw Failure(description: "\(endpoint): \(refusal.reason)")
            default: throw WireError.outOfBounds("kind")
            }
        } catch let error as Failure {
            throw error
        } catch {
            throw Failure(description: "\(endpoint) sent what is no status of a run: \(error)")
        }
    }
}
