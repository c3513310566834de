import Foundation
import Glibc

/// A stretch of network between a worker and its coordinator that can be cut, stalled or listened to.
///
/// Processes that other tests start meanwhile do not inherit its connections: they would keep them open.
final class Relay: @unchecked Sendable {
    // @unchecked: `state` is guarded by the lock; connections belong to the thread.
    private struct State {
        var isCut = false
        var isEnding = false
        var stalledUntil = Date.distantPast
        var recordings: [[UInt8]] = []
    }

    /// One direction of a connection.
    private struct Direction {
        let from: Int32
        let to: Int32
        var pending: ArraySlice<UInt8> = []
        var isOpen = true
        /// Its place among the recordings.
        var recording: Int?
    }

    /// Where workers connect to.
    let port: UInt16
    private let target: UInt16
    private let records: Bool
    private let listener: Int32
    private let lock = NSLock()
    private var state = State()
    private var directions: [Direction] = []

    /// - Parameters:
    ///   - target: the coordinator's port on this machine.
    ///   - records: whether to keep what workers send.
    init(to target: UInt16, records: Bool = false) throws {
        self.target = target
        self.records = records
        (listener, port) = try Self.listen()
        let thread = Thread { [self] in work() }
        thread.start()
    }

    /// Ends every connection; new ones are accepted.
    func cut() { lock.withLock { state.isCut = true } }

    /// Nothing passes for so long, and neither end is told: a half-open connection.
    func stall(seconds: Double) { lock.withLock { state.stalledUntil = Date(timeIntervalSinceNow: seconds) } }

    /// What came from the worker's end of each connection, in order; of a connection that is open, up to now.
    var recordings: [[UInt8]] { lock.withLock { state.recordings } }

    func end() { lock.withLock { state.isEnding = true } }

    /// A port of this machine that nobody listens on.
    static func freePort() throws -> UInt16 {
        let (descriptor, port) = try listen()
        close(descriptor)
        return port
    }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func listen() throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var own = address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && Glibc.listen(descriptor, 16) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRINUSE) }
        return (descriptor, UInt16(bigEndian: own.sin_port))
    }

    private func work() {
        while true {
            let state = lock.withLock {
                defer { self.state.isCut = false }
                return self.state
            }
            if state.isCut || state.isEnding { hangUp() }
            if state.isEnding {
                close(listener)
                return
            }
            guard state.stalledUntil < Date() else {
                usleep(5_000)
                continue
            }
            var polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            for direction in directions {
                polled.append(
                    direction.pending.isEmpty
                        ? pollfd(fd: direction.from, events: Int16(POLLIN), revents: 0)
                        : pollfd(fd: direction.to, events: Int16(POLLOUT), revents: 0))
            }
            guard poll(&polled, nfds_t(polled.count), 20) > 0 else { continue }
            for index in directions.indices where polled[index + 1].revents != 0 { pass(index) }
            let ended = directions.filter { !$0.isOpen }
            for direction in ended { drop(direction.from) }
            if polled[0].revents != 0 { accept() }
        }
    }

    private func accept() {
        let near = Glibc.accept(listener, nil, nil)
        _ = fcntl(near, F_SETFD, FD_CLOEXEC)
        let far = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = Self.address(target)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(far, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard near >= 0, isConnected else {
            if near >= 0 { close(near) }
            close(far)
            return
        }
        for descriptor in [near, far] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        let recording =
            !records
            ? nil
            : lock.withLock {
                state.recordings.append([])
                return state.recordings.count - 1
            }
        directions += [Direction(from: near, to: far, recording: recording), Direction(from: far, to: near)]
    }

    private func pass(_ index: Int) {
        if directions[index].pending.isEmpty {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = read(directions[index].from, &buffer, buffer.count)
            if count > 0 {
                directions[index].pending = buffer[..<count]
                if let recording = directions[index].recording {
                    lock.withLock { state.recordings[recording] += buffer[..<count] }
                }
            }
            if count == 0 || (count < 0 && errno != EAGAIN) { directions[index].isOpen = false }
        }
        let sent = directions[index].pending.withUnsafeBytes {
            send(directions[index].to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if sent > 0 { directions[index].pending = directions[index].pending.dropFirst(sent) }
        if sent < 0, errno != EAGAIN { directions[index].isOpen = false }
    }

    /// Closes a connection's both ends.
    private func drop(_ descriptor: Int32) {
        for direction in directions where direction.from == descriptor {
            close(direction.from)
            close(direction.to)
        }
        directions.removeAll { $0.from == descriptor || $0.to == descriptor }
    }

    private func hangUp() {
        for direction in directions { close(direction.from) }
        directions = []
    }
}
