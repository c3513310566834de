import CZeroMQ

extension Socket {
    /// Begins to report what happens to the socket's connections, to a ``ConnectionMonitor`` of the address that this
    /// answers. It reads soon, and lives until `stopReporting()`: libzmq's I/O thread waits for a reader of a full queue.
    ///
    /// - Throws: ``ZeroMQError`` where the process is out of sockets.
    package func reportConnections() throws(ZeroMQError) -> String {
        checkThread()
        let address = "inproc://monitor-\(UInt(bitPattern: raw))"
        guard zmq_socket_monitor(raw, address, ZMQ_EVENT_ALL) == 0 else { throw ZeroMQError(.monitor) }
        return address
    }

    /// Reports no more; the monitor reads ``ConnectionEvent/ended`` last.
    package func stopReporting() {
        checkThread()
        _ = zmq_socket_monitor(raw, nil, 0)
    }
}

/// Reads what a socket reports of its connections. Belongs to the thread that makes it, which may be another than the
/// socket's.
package struct ConnectionMonitor: ~Copyable {
    private let socket: Socket

    /// - Parameter address: from `reportConnections()`.
    /// - Throws: ``ZeroMQError`` where the process is out of sockets, or nothing reports there.
    package init(address: String, context: Context) throws(ZeroMQError) {
        let socket = try Socket(.pair, context: context)
        try socket.connectInProcess(address)
        self.socket = socket
    }

    /// Waits for an event at most this long. Answers whether there is one.
    ///
    /// - Throws: ``ZeroMQError`` where the context is broken.
    package func wait(milliseconds: Int) throws(ZeroMQError) -> Bool {
        try Poller.wait(socket: socket, milliseconds: milliseconds).socket
    }

    /// The next event, or nil when there is none; does not block.
    ///
    /// - Throws: ``ZeroMQError`` where the context is broken.
    package func next() throws(ZeroMQError) -> ConnectionEvent? {
        while let message = try socket.receive(maximumParts: 2) {
            // The event's number and value in the machine's byte order; then the address.
            let bytes = message.bytes(0)
            guard bytes.count == 6 else { continue }
            let (number, value) = bytes.withUnsafeBytes {
                ($0.loadUnaligned(as: UInt16.self), $0.loadUnaligned(fromByteOffset: 2, as: Int32.self))
            }
            if let event = ConnectionEvent(number: number, value: value) { return event }
        }
        return nil
    }
}
