import Glibc

/// The socket of a page, bound before there is anything to show: who connects meanwhile waits.
package final class DashboardListener: Sendable {
    let descriptor: Int32
    /// With the port that was picked.
    let address: DashboardAddress
    /// The name that was asked for; nil for an address in numbers.
    let name: String?

    /// - Parameter flag: that gave the address, for the errors.
    /// - Throws: ``DashboardError`` where the name is unknown, or the address busy or not this machine's.
    package init(_ requested: DashboardAddress, of flag: String) throws(DashboardError) {
        let found: DashboardAddress
        do { found = try requested.resolved() } catch { throw DashboardError("\(flag) \(requested): \(error)") }
        let family = found.isIPv6 ? AF_INET6 : AF_INET
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0, let port = Self.listen(descriptor, at: found) else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw DashboardError(
                "\(flag) \(requested): the page cannot be served there (\(reason)): choose another port")
        }
        self.descriptor = descriptor
        address = found.with(port: port)
        name = requested.isIPv4 || requested.isIPv6 ? nil : requested.host
    }

    /// Whether only this machine reaches it.
    package var isLoopback: Bool { address.isLoopback }

    deinit { close(descriptor) }

    /// The port; nil where `errno` says why there is none.
    private static func listen(_ descriptor: Int32, at requested: DashboardAddress) -> UInt16? {
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        if requested.isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = requested.port.bigEndian
            inet_pton(AF_INET6, requested.host, &address.sin6_addr)
            return listen(descriptor, &address) ? UInt16(bigEndian: address.sin6_port) : nil
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = requested.port.bigEndian
        inet_pton(AF_INET, requested.host, &address.sin_addr)
        return listen(descriptor, &address) ? UInt16(bigEndian: address.sin_port) : nil
    }

    /// Binds and listens; the address becomes the one that was bound.
    private static func listen<Address>(_ descriptor: Int32, _ address: inout Address) -> Bool {
        var size = socklen_t(MemoryLayout<Address>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && Glibc.listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
    }
}
