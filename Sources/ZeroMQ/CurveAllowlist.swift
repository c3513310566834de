import CZeroMQ
import Foundation
import Synchronization

/// Decides which CURVE clients may connect. Answers libzmq's questions (ZAP 1.0,
/// https://rfc.zeromq.org/spec/27) on a thread of its own; one for each context.
///
/// For sockets with `.curveServer` and `.zapDomain`; to be made before they are bound, and kept as long as they live.
package final class CurveAllowlist: Sendable {
    private static let address = "inproc://zeromq.zap.01"

    /// Whether the owner of a public key may connect from a numeric address. Called on a thread of the allowlist's own.
    package typealias Decision = @Sendable (_ key: CurveKey, _ address: String) -> Bool

    private let isAllowed: Decision
    private let stop: Waker
    private let stopped = DispatchSemaphore(value: 0)

    /// - Throws: ``ZeroMQError`` where the context has an allowlist already, or no thread can start.
    package init(context: Context, isAllowed: @escaping Decision) throws(ZeroMQError) {
        self.isAllowed = isAllowed
        stop = try Waker()
        let outcome = Handover()
        let thread = Thread { [self] in serve(context, outcome) }
        thread.name = "curve allowlist"
        thread.start()
        if let error = outcome.take() { throw error }
    }

    /// Ends the thread. To be called before the context can end.
    package func close() {
        stop.wake()
        stopped.wait()
        stopped.signal()
    }

    /// How the thread's start went.
    private final class Handover: Sendable {
        private let error = Mutex<ZeroMQError?>(nil)
        private let isDecided = DispatchSemaphore(value: 0)

        func put(_ error: ZeroMQError?) {
            self.error.withLock { $0 = error }
            isDecided.signal()
        }

        func take() -> ZeroMQError? {
            isDecided.wait()
            return error.withLock { $0 }
        }
    }

    private func serve(_ context: Context, _ outcome: Handover) {
        defer { stopped.signal() }
        do {
            let socket = try Socket(.router, context: context)
            try socket.set(.linger(milliseconds: 0))
            try socket.bindInProcess(Self.address)
            outcome.put(nil)
            while try !Poller.wait(socket: socket, waker: stop, milliseconds: nil).waker {
                while let request = try socket.receive(maximumParts: 8) {
                    // A question that cannot be answered stays unanswered, and so its client outside.
                    if let reply = reply(to: request) { _ = try socket.send(reply) }
                }
            }
        } catch {
            outcome.put(error)
        }
    }

    /// nil for what is no question.
    private func reply(to request: borrowing ReceivedMessage) -> [[UInt8]]? {
        // Empty, version, request id, domain, address, routing id, mechanism, credentials.
        guard request.partCount == 8, request.bytes(0).isEmpty, request.bytes(1) == Array("1.0".utf8) else {
            return nil
        }
        var user = ""
        if request.bytes(6) == Array("CURVE".utf8), let key = CurveKey(bytes: request.bytes(7)),
            isAllowed(key, String(decoding: request.bytes(4), as: UTF8.self))
        {
            user = key.z85
        }
        let verdict = user.isEmpty ? ("400", "this key is not allowed") : ("200", "OK")
        // Version, request id, status, text, user, metadata.
        return [
            request.routingID, [], Array("1.0".utf8), request.bytes(2), Array(verdict.0.utf8), Array(verdict.1.utf8),
            Array(user.utf8), [],
        ]
    }
}
