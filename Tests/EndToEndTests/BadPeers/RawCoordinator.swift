import Coordination
import Foundation
import ZeroMQ

/// A coordinator that answers whatever it hears with one and the same message.
enum RawCoordinator {
    /// Runs a worker that connects to it, to its end.
    ///
    /// - Parameter answer: the control frame for a message and its envelope.
    static func runWorker(
        in folder: TemporaryFolder, answer: @escaping @Sendable (Message, Envelope) -> [UInt8]
    ) async throws -> Execution.Result {
        let bus = "ipc://\(folder.file("bus").path)"
        let isOver = folder.file("over").path
        let listening = AsyncStream<Void>.makeStream()
        async let answered: Void = onThread {
            let router = try Socket(.router, context: try Context())
            try router.set(.linger(milliseconds: 1000))
            try router.bind(bus)
            listening.continuation.yield()
            let end = ContinuousClock.now + .seconds(Deadline.seconds)
            while ContinuousClock.now < end, !FileManager.default.fileExists(atPath: isOver) {
                guard let received = try router.receive(maximumParts: 2) else {
                    _ = try Poller.wait(socket: router, milliseconds: 20)
                    continue
                }
                let (message, envelope) = try Wire.decode(received.bytes(0))
                // A worker that did not wait for the last answer greets anew.
                _ = try router.send([received.routingID, answer(message, envelope)])
            }
        }
        for await _ in listening.stream { break }
        let result = try await Execution.run(["worker", "--connect=\(bus)", "--quiet", "--retry-for=30s"], in: folder)
        try folder.write([], to: "over")
        try await answered
        return result
    }
}
