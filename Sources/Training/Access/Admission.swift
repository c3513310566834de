import Foundation
import Glibc
import Synchronization
package import ZeroMQ

/// The coordinator's door: which keys get in, and who was turned away, whence and why.
///
/// It watches the connections of one socket on a thread of its own.
package final class Admission: Sendable {
    /// What a coordinator with keys needs of them.
    package struct Keys: Sendable {
        package let pair: CurveKeyPair
        package let allowlist: AllowlistFile
        /// The key of workers that the coordinator itself starts: allowed in this run, and in no file.
        var ownWorkers: CurveKey?

        /// - Parameter allow: the allowlist's file; nil for the one in the folder.
        /// - Throws: ``ConfigurationError``.
        package init(folder: KeyFolder, allow: String?) throws {
            pair = try folder.readPair()
            allowlist = try AllowlistFile(path: allow ?? folder.allow)
        }
    }

    /// The same refusal of the same host is told once in this time.
    private static let silence = Duration.seconds(60)
    /// Refusals that are remembered so; a flood from more hosts than this is told in part.
    private static let remembered = 256

    private struct State {
        var told: [String: ContinuousClock.Instant] = [:]
        var waiting: [String] = []
        var report: (@Sendable (String) -> Void)?
    }

    private let keys: Keys?
    private let state = Mutex(State())
    private let ended = DispatchSemaphore(value: 0)
    /// nil without keys.
    private let allowlist: Mutex<CurveAllowlist?>

    /// To be made between the making of a socket and its `bind`, on its thread.
    ///
    /// - Parameter keys: nil to let everyone in.
    package init(socket: borrowing Socket, keys: Keys?) throws {
        self.keys = keys
        allowlist = Mutex(nil)
        if let keys {
            try socket.set(.curveServer(keys.pair))
            try socket.set(.zapDomain("lockstep"))
            let made = try CurveAllowlist(context: socket.context) { [weak self] key, address in
                self?.decide(key, address) ?? false
            }
            allowlist.withLock { $0 = made }
        }
    }

    /// Begins to watch the socket, once it is bound: libzmq's reports would cover up why it could not be.
    package func begin(_ socket: borrowing Socket) throws {
        let address = try socket.reportConnections()
        let context = socket.context
        let thread = Thread { [self] in
            defer { ended.signal() }
            do { try watch(ConnectionMonitor(address: address, context: context)) } catch { tell("\(error)") }
        }
        thread.name = "admission"
        thread.start()
    }

    /// To be called before the socket is closed, on its thread.
    package func close(_ socket: borrowing Socket) {
        socket.stopReporting()
        ended.wait()
        allowlist.withLock { $0 }?.close()
    }

    /// Where refusals and changes of the allowlist are told from now on, with those so far. Called on any thread.
    package func report(to report: @escaping @Sendable (String) -> Void) {
        let waiting = state.withLock { state in
            state.report = report
            defer { state.waiting = [] }
            return state.waiting
        }
        waiting.forEach(report)
    }

    /// Whether the owner of the key may speak now. `key` is nil of a peer that came without one.
    package func allows(_ key: CurveKey?) -> Bool {
        guard let keys else { return true }
        // Whoever holds the coordinator's own key may ask for the status.
        return key.map { keys.allowlist.allows($0) || $0 == keys.pair.publicKey || $0 == keys.ownWorkers } ?? false
    }

    private func decide(_ key: CurveKey, _ address: String) -> Bool {
        guard let list = keys?.allowlist else { return false }
        if let news = list.refresh() { tell(news) }
        guard !allows(key) else { return true }
        tellRefusal(
            "refused a worker from \(address): its key \(key.z85) is not in \(list.path); to let it in, add that line")
        return false
    }

    // MARK: The watch

    private func watch(_ monitor: borrowing ConnectionMonitor) throws {
        var peers: [Int32: String] = [:]
        var failure: ConnectionEvent.Failure?
        while true {
            _ = try monitor.wait(milliseconds: 1000)
            if let news = keys?.allowlist.refresh() { tell(news) }
            while let event = try monitor.next() {
                switch event {
                case .accepted(let descriptor): peers[descriptor] = Self.peer(descriptor)
                case .failed(let reason): failure = reason
                case .disconnected(let descriptor):
                    // One I/O thread tells both, one behind the other.
                    if let failure, let text = Self.explanation(failure) {
                        tellRefusal("refused a peer from \(peers[descriptor] ?? "an unknown address"): \(text)")
                    }
                    failure = nil
                    peers[descriptor] = nil
                case .ended: return
                case .connected, .agreed: break
                }
            }
        }
    }

    /// nil for what is told elsewhere, or is nobody's mistake: a connection that just ended.
    private static func explanation(_ failure: ConnectionEvent.Failure) -> String? {
        switch failure {
        case .notAllowed, .ended: nil
        case .mechanism: "one side uses CURVE keys and the other does not (--keys on both, or on neither)"
        case .cryptography: "it does not know this coordinator's key (its server.public is another's or an old one)"
        case .protocolViolation: "it does not speak ZeroMQ as this program does"
        }
    }

    /// Strangers cause these: a flood of them must not become a flood of lines.
    private func tellRefusal(_ text: String) {
        let isNew = state.withLock { state in
            let now = ContinuousClock.now
            if let last = state.told[text], now - last < Self.silence { return false }
            if state.told.count >= Self.remembered {
                state.told = state.told.filter { now - $0.value < Self.silence }
                guard state.told.count < Self.remembered else { return false }
            }
            state.told[text] = now
            return true
        }
        if isNew { tell(text) }
    }

    private func tell(_ text: String) {
        let report = state.withLock { state in
            if state.report == nil { state.waiting.append(text) }
            return state.report
        }
        report?(text)
    }

    /// The numeric address of the other side.
    private static func peer(_ descriptor: Int32) -> String? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &address) { bytes in
            let pointer = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            guard getpeername(descriptor, pointer, &length) == 0 else { return nil }
            return numericHost(pointer, length)
        }
    }
}
