import Glibc

extension Endpoint {
    /// For `zmq_bind`, which takes numbers and names of network interfaces only: the IPv4 address of a host name.
    var bindable: String {
        guard case .tcp(let host, let port) = transport, host != "*", !host.contains(":") else { return description }
        var hints = addrinfo()
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var results: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &results) == 0, let first = results else { return description }
        defer { freeaddrinfo(results) }
        guard let numeric = numericHost(first.pointee.ai_addr, first.pointee.ai_addrlen) else { return description }
        return "tcp://\(numeric):\(port)"
    }

    /// Refuses a path that is not ours to take: `zmq_bind` removes whatever is there, be it a user's file or the socket of
    /// a program that still listens.
    func checkIsFree() throws(ZeroMQError) {
        guard case .ipc(let path) = transport else { return }
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw ZeroMQError(
                .listen, code: EEXIST, subject: description,
                reason: "there is a file that is not a socket; choose another path with --listen")
        }
        if Self.someoneListens(path: path) { throw ZeroMQError(.listen, code: EADDRINUSE, subject: description) }
    }

    /// - Throws: for addresses that mean something only to a listener.
    package func checkIsConnectable() throws(ZeroMQError) {
        guard case .tcp(let host, let port) = transport else { return }
        if host == "*" {
            throw ZeroMQError(
                .connect, code: EINVAL, subject: description,
                reason: "* is for listening; name the coordinator's host with --connect")
        }
        if port == 0 {
            throw ZeroMQError(
                .connect, code: EINVAL, subject: description,
                reason: "port 0 is for listening; give the port that the coordinator printed with --connect")
        }
    }

    private static func someoneListens(path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafeBytes(of: address) { bytes in
            connect(
                descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count)) == 0
        }
    }
}
