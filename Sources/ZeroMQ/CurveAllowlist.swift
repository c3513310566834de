import CZeroMQ
import Foundation
import Synchronization

/// Decides which CURVE clients may connect: those whose public key is listed. Answers libzmq's questions (ZAP 1.0,
/// https://rfc.zeromq.org/spec/27) on a thread of its own; one for each context.
///
/// To be made before a socket with `.curveServer` and `.zapDomain` is bound, and kept as long as it lives: without it libzmq
/// lets every client in.
package final class CurveAllowlist: Sendable {
    private static let address = "inproc://zeromq.zap.01"

    private let allowed: Mutex<Set<CurveKey>>
    private let stop: Waker
    private let stopped = DispatchSemaphore(value: 0)

    /// - Throws: ``ZeroMQError`` where the context has an allowlist already, or no thread can start.
    package init(context: Context, allowed: Set<CurveKey>) throws(ZeroMQError) {
        self.allowed = Mutex(allowed)
        stop = try Waker()
        let outcome = Handover()
        let thread = Thread { [self] in serve(context, outcome) }
        thread.name = "curve allowlist"
        thread.start()
        if let error = outcome.take() { throw error }
    }

    /// Changes who may connect from now on. Connections that stand are not cut.
    package func replace(allowed: Set<CurveKey>) { self.allowed.withLock { $0 = allowed } }

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
        let isAllowed =
            if request.bytes(6) == Array("CURVE".utf8), let key = CurveKey(bytes: request.bytes(7)) {
                allowed.withLock { $0.contains(key) }
            } else { false }
        let verdict = isAllowed ? ("200", "OK") : ("400", "this key is not allowed")
        // Version, request id, status, text, user, metadata.
        return [
            request.routingID, [], Array("1.0".utf8), request.bytes(2), Array(verdict.0.utf8), Array(verdict.1.utf8),
            [], [],
        ]
    }
}
