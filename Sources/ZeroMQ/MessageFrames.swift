internal import CZeroMQ

/// The frames of one message, each at a fixed address: a short frame holds its bytes inside itself.
struct MessageFrames: ~Copyable {
    private let storage: UnsafeMutablePointer<zmq_msg_t>
    private let capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        storage = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit {
        for index in 0..<count { zmq_msg_close(storage + index) }
        storage.deallocate()
    }

    // MARK: Building

    mutating func append(_ bytes: [UInt8]) throws(ZeroMQError) {
        precondition(count < capacity)
        guard zmq_msg_init_size(storage + count, bytes.count) == 0 else { throw ZeroMQError.last(.send) }
        bytes.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(start: zmq_msg_data(storage + count), count: source.count)
                .copyMemory(from: source)
        }
        count += 1
    }

    /// Without a copy: the frame holds the owner until libzmq is done with the bytes.
    mutating func append(_ shared: SharedBytes) throws(ZeroMQError) {
        precondition(count < capacity)
        let owner = Unmanaged.passRetained(shared.owner)
        // libzmq takes a mutable pointer, but only reads what it sends.
        let result = zmq_msg_init_data(
            storage + count, UnsafeMutableRawPointer(mutating: shared.bytes.baseAddress), shared.bytes.count,
            { _, hint in Unmanaged<AnyObject>.fromOpaque(hint!).release() }, owner.toOpaque())
        guard result == 0 else {
            let error = ZeroMQError.last(.send)
            owner.release()
            throw error
        }
        count += 1
    }

    // MARK: Moving

    /// Sends all frames or none. The frames that libzmq did not take are freed with `self`.
    consuming func send(to socket: UnsafeMutableRawPointer) throws(ZeroMQError) -> SendOutcome {
        for index in 0..<count {
            let flags = ZMQ_DONTWAIT | (index + 1 < count ? ZMQ_SNDMORE : 0)
            while zmq_msg_send(storage + index, socket, flags) < 0 {
                switch zmq_errno() {
                case EINTR: continue
                // Past the first frame there is always room: the peer is gone and libzmq took the message back.
                case EAGAIN: return index == 0 ? .wouldBlock : .unreachable
                case EHOSTUNREACH: return .unreachable
                default: throw ZeroMQError.last(.send)
                }
            }
        }
        return .sent
    }

    /// Appends the next frame that waits on the socket; false if none does.
    mutating func receive(from socket: UnsafeMutableRawPointer) throws(ZeroMQError) -> Bool {
        precondition(count < capacity)
        zmq_msg_init(storage + count)
        count += 1
        while zmq_msg_recv(storage + count - 1, socket, ZMQ_DONTWAIT) < 0 {
            switch zmq_errno() {
            case EINTR: continue
            case EAGAIN:
                removeLast()
                return false
            default: throw ZeroMQError.last(.receive)
            }
        }
        return true
    }

    mutating func removeLast() {
        precondition(count > 0)
        count -= 1
        zmq_msg_close(storage + count)
    }

    // MARK: Reading

    /// Whether the message goes on after the last frame here.
    var lastHasMore: Bool { count > 0 && zmq_msg_more(storage + count - 1) != 0 }

    /// In place; valid as long as `self`.
    func bytes(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < count)
        return UnsafeRawBufferPointer(start: zmq_msg_data(storage + index), count: zmq_msg_size(storage + index))
    }
}
