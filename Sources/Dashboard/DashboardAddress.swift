import Foundation
import Glibc

/// Where the live page is served: an IP address and a port.
package struct DashboardAddress: Sendable, Equatable, CustomStringConvertible {
    /// In numbers, IPv6 without brackets.
    package let host: String
    /// 0 to have one picked.
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

    /// Whether only this machine reaches it.
    var isLoopback: Bool { isIPv6 ? host == "::1" : host.hasPrefix("127.") }

    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Why there is no live page; the message says what to do.
package struct DashboardError: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
