import Foundation
import Glibc

/// Where the live page is served: an IP address and a port.
package struct DashboardAddress: Sendable, Equatable, CustomStringConvertible {
    package let host: String
    package let port: UInt16
    package let isIPv6: Bool

    /// Takes `127.0.0.1:8080`, `[::1]:0`, `localhost:8080`.
    ///
    /// - Throws: ``DashboardError`` for anything else.
    package init(_ text: String) throws(DashboardError) {
        let bad = DashboardError(
            "\(text) is no address of a page: give an IP address and a port, such as 127.0.0.1:8080")
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw bad
        }
        var host = String(text[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        var address4 = in_addr()
        var address6 = in6_addr()
        if host.hasPrefix("["), host.hasSuffix("]"),
            inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &address6) == 1
        {
            self.host = String(host.dropFirst().dropLast())
            isIPv6 = true
        } else if inet_pton(AF_INET, host, &address4) == 1 {
            self.host = host
            isIPv6 = false
        } else {
            throw bad
        }
        self.port = port
    }

    private init(host: String, port: UInt16, isIPv6: Bool) {
        self.host = host
        self.port = port
        self.isIPv6 = isIPv6
    }

    func with(port: UInt16) -> DashboardAddress { DashboardAddress(host: host, port: port, isIPv6: isIPv6) }

    /// A listening socket and its port; nil where `errno` says why there is none.
    func listen() -> (descriptor: Int32, port: UInt16)? {
        let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var port: UInt16?
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = self.port.bigEndian
            inet_pton(AF_INET6, host, &address.sin6_addr)
            port = Self.listen(descriptor, &address) { $0.sin6_port }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = self.port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            port = Self.listen(descriptor, &address) { $0.sin_port }
        }
        guard let port else {
            let code = errno
            close(descriptor)
            errno = code
            return nil
        }
        return (descriptor, UInt16(bigEndian: port))
    }

    /// Binds and listens; the address becomes the one that was bound.
    private static func listen<Address>(
        _ descriptor: Int32, _ address: inout Address, port: (Address) -> UInt16
    ) -> UInt16? {
        var size = socklen_t(MemoryLayout<Address>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && Glibc.listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        return isListening ? port(address) : nil
    }

    /// Whether only this machine reaches it.
    package var isLoopback: Bool { isIPv6 ? host == "::1" : host.hasPrefix("127.") }

    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Why there is no live page; the message says what to do.
package struct DashboardError: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
