import ZeroMQ

/// A worker's attempt to get a connection to its coordinator, and to say why there is none.
struct FirstContact: ~Copyable {
    private let access: WorkerAccess
    private let keys: (pair: CurveKeyPair, server: CurveKey)?
    private let monitor: ConnectionMonitor
    private let target: CoordinatorAddress.Resolution

    /// Connects the socket, with the keys as their files are now.
    ///
    /// - Throws: ``ConfigurationError`` for keys that cannot be used; ``ZeroMQError``.
    init(_ access: WorkerAccess, _ socket: borrowing Socket, isInterrupted: () -> Bool) throws {
        let keys = try access.keys?.read()
        let target = access.address.resolve(isInterrupted: isInterrupted)
        let monitor = try ConnectionMonitor(address: socket.reportConnections(), context: socket.context)
        if let keys { try socket.set(.curveClient(keys.pair, server: keys.server)) }
        if case .found(let endpoint) = target { try socket.connect(endpoint) }
        self.access = access
        self.keys = keys
        self.target = target
        self.monitor = monitor
    }

    /// Waits a second for the connection. Answers what stands in its way; nil once it stands.
    func wait(_ socket: borrowing Socket, isInterrupted: () -> Bool) throws -> String? {
        // The monitor ends with this: nobody would read what is reported later.
        defer { socket.stopReporting() }
        for _ in 0..<20 where !isInterrupted() {
            if try Poller.waitUntilWritable(socket: socket, milliseconds: 50) { return nil }
        }
        return isInterrupted() ? "it was told to stop" : try obstacle()
    }

    private func obstacle() throws -> String {
        guard case .found(let endpoint) = target else {
            guard case .missing(let reason) = target else { preconditionFailure("there are two cases") }
            return reason
        }
        var isConnected = false
        var failure: ConnectionEvent.Failure?
        while let event = try monitor.next() {
            switch event {
            case .connected: isConnected = true
            // A later attempt may just have ended: what an earlier one told says more.
            case .failed(let reason): if failure == nil || reason != .ended { failure = reason }
            default: break
            }
        }
        switch failure {
        case .notAllowed:
            return
                "the coordinator refused this worker's key: add the line \"\(keys?.pair.publicKey.z85 ?? "")\" to its "
                + "allowlist (its --allow file), which needs no restart"
        case .mechanism where keys == nil:
            return "the coordinator takes only workers with keys: give this one its folder with --keys"
        case .mechanism:
            return
                "the coordinator uses no keys: start it with --keys, or this worker without, if the network is to be "
                + "trusted"
        case .cryptography, .ended:
            guard keys != nil else {
                return
                    "\(endpoint) ended the connection before a greeting: the coordinator takes only workers with keys "
                    + "(--keys), is stopping, or is none"
            }
            let cause =
                "the coordinator ended the exchange of keys: \(access.keys!.server) is not its present key; copy its "
                + "curve.public there"
            // One without keys may be gone before its greeting has been read, which would have told.
            return failure == .cryptography ? cause : cause + ", unless it uses no keys: then start it with --keys"
        case .protocolViolation: return "what listens at \(endpoint) is no Lockstep coordinator: check --connect"
        case nil:
            if isConnected { return "\(endpoint) is connected, and silent: the coordinator is busy, or stopped" }
            return CoordinatorAddress.obstacle(endpoint)
                ?? "\(endpoint) takes connections, and nothing more yet: the coordinator is busy, or stopped"
        }
    }
}
