import Foundation
import Glibc

/// Where the live page is served: a host and a port.
package struct DashboardAddress: Sendable, Equatable, CustomStringConvertible {
    /// A name, or an IP address; IPv6 without brackets.
    package let host: String
    /// 0 to have one picked.
    package let port: UInt16

    /// Takes `127.0.0.1:8080`, `[::1]:0`, `localhost:8080`, `host.example.org:8080`. Nothing is looked up yet.
    ///
    /// - Throws: ``DashboardError`` for anything else.
    package init(_ text: String) throws(DashboardError) {
        let bad = DashboardError("\(text) is no address of a page: give a host and a port, such as 127.0.0.1:8080")
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw bad
        }
        var host = String(text[..<colon])
        if host == "localhost" { host = "127.0.0.1" }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard Self.isIPv6(host) else { throw bad }
        } else {
            let isName = host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }
            guard isName, !host.isEmpty else { throw bad }
        }
        self.init(host: host, port: port)
    }

    private init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The address of the host in numbers: of a name's the first of IPv4, where there is one.
    ///
    /// - Throws: ``DashboardError`` for a name that nobody knows.
    func resolved() throws(DashboardError) -> DashboardAddress {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var results: UnsafeMutablePointer<addrinfo>?
        var status = getaddrinfo(host, nil, &hints, &results)
        defer { freeaddrinfo(results) }
        if status == 0 {
            let all = sequence(first: results!.pointee) { $0.ai_next?.pointee }
            let chosen = all.first { $0.ai_family == AF_INET } ?? results!.pointee
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            status = getnameinfo(
                chosen.ai_addr, chosen.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            if status == 0 {
                let numeric = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                return DashboardAddress(host: numeric, port: port)
            }
        }
        throw DashboardError(
            "the host \(host) cannot be found (\(String(cString: gai_strerror(status)))): check "
                + "the name and /etc/hosts, or give an address in numbers")
    }

    var isIPv4: Bool {
        var address = in_addr()
        return inet_pton(AF_INET, host, &address) == 1
    }

    var isIPv6: Bool { Self.isIPv6(host) }

    private static func isIPv6(_ host: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET6, host, &address) == 1
    }

    func with(port: UInt16) -> DashboardAddress { DashboardAddress(host: host, port: port) }

    /// Whether only this machine reaches one in numbers.
    var isLoopback: Bool { isIPv6 ? host == "::1" : isIPv4 && host.hasPrefix("127.") }

    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Why there is no live page; the message says what to do.
package struct DashboardError: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
