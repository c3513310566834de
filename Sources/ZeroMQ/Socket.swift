import CZeroMQ
import Glibc

/// A ZeroMQ socket. Belongs to the thread that created it: create it where it is used.
///
/// Nothing here blocks; wait with ``Poller``. Closed when it goes out of scope; what is queued then still leaves for the
/// linger time (one second unless set).
package struct Socket: ~Copyable {
    let raw: UnsafeMutableRawPointer
    let type: SocketType
    /// Held as long as the socket lives.
    package let context: Context
    private let owner = pthread_self()

    private static let defaultLinger: Int32 = 1000

    /// - Throws: ``ZeroMQError`` where the process is out of sockets or descriptors.
    package init(_ type: SocketType, context: Context) throws(ZeroMQError) {
        guard let raw = zmq_socket(context.raw, type.raw) else { throw ZeroMQError(.createSocket) }
        self.raw = raw
        self.type = type
        self.context = context
        _ = set(ZMQ_LINGER, Self.defaultLinger)
    }

    deinit { zmq_close(raw) }

    /// Stops a use from a thread that does not own the socket: libzmq would corrupt its memory.
    func checkThread() {
        precondition(pthread_equal(owner, pthread_self()) != 0, "a socket was used from a thread that is not its own")
    }

    // MARK: Options

    /// - Throws: ``ZeroMQError`` for a value out of the option's bounds.
    package func set(_ option: SocketOption) throws(ZeroMQError) {
        checkThread()
        for (number, value) in option.settings {
            let status =
                switch value {
                case .number(let value): set(number, Int32(clamping: value))
                case .wideNumber(let value): set(number, value)
                case .flag(let isOn): set(number, Int32(isOn ? 1 : 0))
                case .bytes(let bytes): bytes.withUnsafeBytes { zmq_setsockopt(raw, number, $0.baseAddress, $0.count) }
                }
            guard status == 0 else { throw ZeroMQError(.setOption, subject: option.name) }
        }
    }

    private func set(_ number: Int32, _ value: some BitwiseCopyable) -> Int32 {
        withUnsafeBytes(of: value) { zmq_setsockopt(raw, number, $0.baseAddress, $0.count) }
    }

    // MARK: Addresses

    /// Listens on an address. `lastEndpoint` then tells the port that was chosen for port 0.
    ///
    /// - Throws: ``ZeroMQError`` that says what to do: the address is in use, is not this machine's, is not allowed.
    package func bind(_ endpoint: Endpoint) throws(ZeroMQError) {
        checkThread()
        try endpoint.checkIsFree()
        if endpoint.isIPv6 { try set(.ipv6(true)) }
        guard zmq_bind(raw, endpoint.bindable) == 0 else { throw ZeroMQError(.listen, subject: endpoint.description) }
    }

    /// The same of an address as text.
    ///
    /// - Throws: ``ZeroMQError``, also where the text is no address.
    package func bind(_ endpoint: String) throws(ZeroMQError) { try bind(Endpoint(endpoint)) }

    /// Listens for sockets of the same context.
    func bindInProcess(_ name: String) throws(ZeroMQError) {
        checkThread()
        guard zmq_bind(raw, name) == 0 else { throw ZeroMQError(.listen, subject: name) }
    }

    /// Connects to a socket of the same context that listens there already.
    func connectInProcess(_ name: String) throws(ZeroMQError) {
        checkThread()
        guard zmq_connect(raw, name) == 0 else { throw ZeroMQError(.connect, subject: name) }
    }

    /// Connects, now or as soon as someone listens there; libzmq keeps trying.
    ///
    /// - Throws: ``ZeroMQError`` for an address that no one could listen on.
    package func connect(_ endpoint: Endpoint) throws(ZeroMQError) {
        checkThread()
        try endpoint.checkIsConnectable()
        if endpoint.isIPv6 { try set(.ipv6(true)) }
        guard zmq_connect(raw, endpoint.description) == 0 else {
            throw ZeroMQError(.connect, subject: endpoint.description)
        }
    }

    /// The same of an address as text.
    ///
    /// - Throws: ``ZeroMQError``, also where the text is no address.
    package func connect(_ endpoint: String) throws(ZeroMQError) { try connect(Endpoint(endpoint)) }

    /// The address bound last, with the port that was chosen; empty before.
    ///
    /// - Throws: ``ZeroMQError`` where libzmq does not tell.
    package var lastEndpoint: String {
        get throws(ZeroMQError) {
            checkThread()
            var buffer = [UInt8](repeating: 0, count: 1024)
            var count = buffer.count
            guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &buffer, &count) == 0 else {
                throw ZeroMQError(.getOption, subject: "last endpoint")
            }
            return String(decoding: buffer[..<count].prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    // MARK: Messages

    /// Sends a message of `parts`, without blocking: all of it or nothing.
    ///
    /// On a router the first part is the receiver's routing id.
    ///
    /// - Returns: why it was not sent, where the queue is full or nobody has the routing id.
    /// - Throws: ``ZeroMQError`` for anything else.
    package func send(_ parts: [UInt8]...) throws(ZeroMQError) -> SendOutcome { try send(parts) }

    /// Sends a message of `parts`, at least one, without blocking: all of it or nothing.
    ///
    /// - Returns: why it was not sent, where the queue is full or nobody has the routing id.
    /// - Throws: ``ZeroMQError`` for anything else.
    package func send(_ parts: [[UInt8]]) throws(ZeroMQError) -> SendOutcome {
        precondition(!parts.isEmpty, "a message has a part")
        return try sendParts(parts, last: nil)
    }

    /// Sends a message of `parts` and behind them `payload`, which is not copied; without blocking, all of it or nothing.
    ///
    /// Where it was not sent, the payload is let go of.
    ///
    /// - Returns: why it was not sent, where the queue is full or nobody has the routing id.
    /// - Throws: ``ZeroMQError`` for anything else.
    package func send(_ parts: [[UInt8]], payload: consuming Frame) throws(ZeroMQError) -> SendOutcome {
        try withExtendedLifetime(payload) { () throws(ZeroMQError) in try sendParts(parts, last: payload.raw) }
    }

    private func sendParts(
        _ parts: [[UInt8]], last: UnsafeMutablePointer<zmq_msg_t>?
    ) throws(ZeroMQError) -> SendOutcome {
        checkThread()
        var outcome = SendOutcome.sent
        let count = parts.count + (last == nil ? 0 : 1)
        for index in 0..<count {
            let flags = ZMQ_DONTWAIT | (index < count - 1 ? ZMQ_SNDMORE : 0)
            var status: Int32
            repeat {
                if index < parts.count {
                    status = parts[index].withUnsafeBytes { zmq_send(raw, $0.baseAddress, $0.count, flags) }
                } else {
                    status = zmq_msg_send(last, raw, flags)
                }
            } while status < 0 && zmq_errno() == EINTR
            if status >= 0 { continue }
            switch zmq_errno() {
            case EAGAIN: outcome = .wouldBlock
            case EHOSTUNREACH: outcome = .unreachable
            default: throw ZeroMQError(.send)
            }
            // The first part decides whether the queue takes a message. Should the connection end between two parts,
            // libzmq takes the earlier ones back, and drops the later ones up to the last: they have to be handed over,
            // or it would drop those of the next message.
            if index == 0 { return outcome }
        }
        return outcome
    }

    /// The next message, or nil when there is none; does not block.
    ///
    /// - Parameter maximumParts: how many parts to keep, at least 1; a router's routing id is not counted.
    /// - Throws: ``ZeroMQError`` where the socket or its context is broken, or memory has run out.
    package func receive(maximumParts: Int) throws(ZeroMQError) -> ReceivedMessage? {
        precondition(maximumParts >= 1)
        checkThread()
        var frame = zmq_msg_t()
        guard try receive(into: &frame) else { return nil }
        var routingID: [UInt8] = []
        if type == .router {
            routingID = Array(UnsafeRawBufferPointer(start: zmq_msg_data(&frame), count: zmq_msg_size(&frame)))
            let hasParts = zmq_msg_more(&frame) != 0
            zmq_msg_close(&frame)
            guard hasParts else {
                return ReceivedMessage(routingID: routingID, partCount: 0, frames: .allocate(capacity: 1), keptCount: 0)
            }
            try receiveNext(into: &frame)
        }
        let frames = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: maximumParts)
        var kept = 0
        var count = 0
        while true {
            let hasMore = zmq_msg_more(&frame) != 0
            count += 1
            if kept < maximumParts {
                zmq_msg_init(frames + kept)
                zmq_msg_move(frames + kept, &frame)
                kept += 1
            }
            zmq_msg_close(&frame)
            guard hasMore else { break }
            do {
                try receiveNext(into: &frame)
            } catch {
                _ = ReceivedMessage(routingID: routingID, partCount: count, frames: frames, keptCount: kept)
                throw error
            }
        }
        return ReceivedMessage(routingID: routingID, partCount: count, frames: frames, keptCount: kept)
    }

    /// A message comes whole: its later parts are there when the first is.
    private func receiveNext(into frame: inout zmq_msg_t) throws(ZeroMQError) {
        guard try receive(into: &frame) else { throw ZeroMQError(.receive, code: EAGAIN) }
    }

    private func receive(into frame: inout zmq_msg_t) throws(ZeroMQError) -> Bool {
        zmq_msg_init(&frame)
        while zmq_msg_recv(&frame, raw, ZMQ_DONTWAIT) < 0 {
            switch zmq_errno() {
            case EINTR: continue
            case EAGAIN:
                zmq_msg_close(&frame)
                return false
            default:
                let error = ZeroMQError(.receive)
                zmq_msg_close(&frame)
                throw error
            }
        }
        return true
    }
}
