import Glibc

/// An address of a socket: `tcp://HOST:PORT`, `tcp://[IPV6]:PORT`, `tcp://*:PORT` or `ipc://PATH`.
package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// What carries the bytes.
    package enum Transport: Sendable, Hashable {
        /// `host` is a name or an address, IPv6 without brackets; `*` for all addresses of the machine. Port 0 is for a
        /// listener, and has one picked.
        case tcp(host: String, port: UInt16)
        /// A Unix-domain socket; the path has at most 107 bytes.
        case ipc(path: String)
    }

    package let transport: Transport

    /// What a socket address of the system holds, less the byte that ends it.
    private static let longestPath = 107

    /// - Throws: ``ZeroMQError`` that says what is wrong with the text.
    package init(_ text: String) throws(ZeroMQError) {
        func refusal(_ reason: String, code: Int32 = EINVAL) -> ZeroMQError {
            ZeroMQError(.parseEndpoint, code: code, subject: text, reason: reason)
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw refusal("it has blanks or control characters; write tcp://HOST:PORT or ipc://PATH")
        }
        if text.hasPrefix("ipc://") {
            let path = String(text.dropFirst(6))
            guard !path.isEmpty, path != "*" else { throw refusal("the path is missing; write ipc://PATH") }
            // Abstract addresses have no owner and no permissions: every user of the host could connect.
            guard !path.hasPrefix("@") else { throw refusal("it is not the path of a file; write ipc://PATH") }
            let length = path.utf8.count
            guard length <= Self.longestPath else {
                throw refusal(
                    "the path has \(length) bytes, and the system allows \(Self.longestPath); choose a shorter one",
                    code: ENAMETOOLONG)
            }
            transport = .ipc(path: path)
        } else if text.hasPrefix("tcp://") {
            let rest = text.dropFirst(6)
            guard let colon = rest.lastIndex(of: ":") else {
                throw refusal("the port is missing; write tcp://HOST:PORT")
            }
            let digits = rest[rest.index(after: colon)...]
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
                throw refusal("the port must be a number from 0 to 65535")
            }
            guard let host = Self.host(rest[..<colon]) else {
                throw refusal("the host must be a name, an IPv4 address, an IPv6 address in brackets, or *")
            }
            transport = .tcp(host: host, port: port)
        } else {
            throw refusal("write tcp://HOST:PORT or ipc://PATH")
        }
    }

    /// The host without brackets; nil for what can be none.
    private static func host(_ text: Substring) -> String? {
        if text.hasPrefix("["), text.hasSuffix("]") {
            let inner = text.dropFirst().dropLast()
            // The zone, as in fe80::1%eth0, is the resolver's matter.
            var address = in6_addr()
            guard inet_pton(AF_INET6, String(inner.prefix { $0 != "%" }), &address) == 1 else { return nil }
            return String(inner)
        }
        let isName = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard text == "*" || (isName && !text.isEmpty && text.utf8.count <= 253) else { return nil }
        return String(text)
    }

    package var description: String {
        switch transport {
        case .ipc(let path): "ipc://\(path)"
        case .tcp(let host, let port): host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
        }
    }

    package var isIPC: Bool { if case .ipc = transport { true } else { false } }

    var isIPv6: Bool { if case .tcp(let host, _) = transport { host.contains(":") } else { false } }

    /// Whether only this host can reach the address: `ipc`, 127.0.0.0/8, `::1` and `localhost`.
    package var isLoopback: Bool {
        guard case .tcp(let host, _) = transport else { return true }
        if host.lowercased() == "localhost" { return true }
        var four = in_addr()
        if inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
        var six = in6_addr()
        guard inet_pton(AF_INET6, host, &six) == 1 else { return false }
        let bytes = withUnsafeBytes(of: six) { Array($0) }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127]
        return bytes == Array(repeating: 0, count: 15) + [1] || bytes.starts(with: mapped)
    }
}
