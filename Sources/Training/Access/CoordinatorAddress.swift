import Glibc
import ZeroMQ

/// Where a worker's coordinator is: names are resolved anew for every attempt, as hosts move.
struct CoordinatorAddress: Sendable {
    /// What to connect to, or why there is nothing.
    enum Resolution: Sendable {
        /// An address in numbers, or a path.
        case found(Endpoint)
        case missing(String)
    }

    /// Milliseconds that one look at a coordinator's address takes at most.
    private static let connectTimeout: Int32 = 1000
    private static let mostAddresses = 8

    /// Seconds that a name's answer is waited for before that is said. Name servers are given up on after 5 to 30 seconds.
    private static let nameTimeout = 3.0

    private let endpoint: Endpoint
    private let lookup: NameLookup<Resolution>

    init(endpoint: Endpoint) {
        self.endpoint = endpoint
        lookup = NameLookup { Self.resolve(endpoint) }
    }

    /// The endpoint with its host in numbers. Where a name has several addresses, it is the first that takes a
    /// connection, in the system's order of preference.
    func resolve(isInterrupted: () -> Bool) -> Resolution {
        guard case .tcp(let host, _) = endpoint.transport else { return .found(endpoint) }
        if let resolution = lookup.answer(within: Self.nameTimeout, isInterrupted: isInterrupted) { return resolution }
        return .missing(
            "nobody has said yet where the host \(host) is: the name server is slow or gone; check /etc/resolv.conf, or give "
                + "--connect an address in numbers")
    }

    private static func resolve(_ endpoint: Endpoint) -> Resolution {
        guard case .tcp(let host, let port) = endpoint.transport else { return .found(endpoint) }
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var results: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &results)
        guard status == 0 else {
            return .missing(
                "the host \(host) cannot be found (\(String(cString: gai_strerror(status)))): check the name in --connect, "
                    + "the name server or /etc/hosts")
        }
        defer { freeaddrinfo(results) }
        let all = sequence(first: results!) { $0.pointee.ai_next }.prefix(mostAddresses).map(\.pointee)
        let chosen = all.count == 1 ? all[0] : all.first { connectionError($0) == 0 } ?? all[0]
        guard let numeric = numeric(chosen, port: port) else { return .found(endpoint) }
        return .found(numeric)
    }

    /// Why no connection comes about there, with what to do; nil where one does.
    static func obstacle(_ endpoint: Endpoint) -> String? {
        switch endpoint.transport {
        case .ipc(let path):
            access(path, F_OK) == 0
                ? "nobody answers at \(path): start the coordinator there"
                : "there is no \(path): start the coordinator on this machine, or check --connect"
        case .tcp(let host, let port): obstacle(endpoint, host, port)
        }
    }

    private static func obstacle(_ endpoint: Endpoint, _ host: String, _ port: UInt16) -> String? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var results: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &results) == 0, let first = results else { return nil }
        defer { freeaddrinfo(results) }
        switch connectionError(first.pointee) {
        case 0: return nil
        case ECONNREFUSED:
            return
                "\(endpoint) refuses connections: no coordinator listens on that port yet, or only on 127.0.0.1; start "
                + "it with --listen tcp://0.0.0.0:\(port)"
        case ETIMEDOUT:
            return "\(endpoint) does not answer: the host is down, or a firewall drops what comes to port \(port)"
        case let code:
            return "\(endpoint) cannot be reached (\(String(cString: strerror(code)))): check the network and --connect"
        }
    }

    /// The error of an attempt to connect; 0 for none.
    private static func connectionError(_ address: addrinfo) -> Int32 {
        let descriptor = socket(
            address.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        if connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return 0 }
        guard errno == EINPROGRESS else { return errno }
        var item = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&item, 1, connectTimeout) > 0 else { return ETIMEDOUT }
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        return error
    }

    private static func numeric(_ address: addrinfo, port: UInt16) -> Endpoint? {
        guard let host = numericHost(address.ai_addr, address.ai_addrlen) else { return nil }
        return try? Endpoint(host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)")
    }
}
