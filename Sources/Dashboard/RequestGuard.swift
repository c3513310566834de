import Foundation

/// Decides who may read: a page of another site must not read a run through its visitor's browser, and beyond this
/// machine only who knows the token may.
struct RequestGuard: Sendable {
    enum Verdict: Equatable {
        case allowed
        /// The token came in the address: hand it over as a cookie, and lead to the address without it.
        case allowedByAddress
        case refused(Int, String)
    }

    static let cookie = "lockstep_token"

    let token: String?
    /// Names, beside IP addresses and localhost, under which this machine is addressed.
    let hostNames: Set<String>

    /// - Parameters:
    ///   - host: the `Host` header, which names what the browser believes to talk to.
    ///   - authorization: for programs: `Bearer TOKEN`.
    func verdict(
        host: String?, origin: String?, authorization: String?, cookies: String?, queryToken: String?
    ) -> Verdict {
        let isBearer =
            token != nil && (authorization.flatMap(Self.bearer).map { matches($0) } ?? false)
        guard let host else { return .refused(400, "a request without a Host header") }
        // Whoever knows the token in a header is no page of another site.
        guard isBearer || isKnown(host) else {
            return .refused(421, "this is not the host that the request names")
        }
        if let origin, origin != "http://\(host)" {
            return .refused(403, "pages of other sites may not read this")
        }
        guard token != nil else { return .allowed }
        if isBearer || Self.value(of: Self.cookie, in: cookies ?? "").map({ matches($0) }) ?? false { return .allowed }
        if let queryToken, matches(queryToken) { return .allowedByAddress }
        return .refused(401, "this run is shown to who knows its token: take the whole address that lockstep printed")
    }

    /// An address cannot be made to point elsewhere, as a name can (DNS rebinding).
    private func isKnown(_ host: String) -> Bool {
        var name = host.lowercased()
        if name.hasPrefix("[") {
            guard let end = name.firstIndex(of: "]") else { return false }
            let rest = name[name.index(after: end)...]
            guard rest.isEmpty || Self.isPort(rest) else { return false }
            var address = in6_addr()
            return inet_pton(AF_INET6, String(name[name.index(after: name.startIndex)..<end]), &address) == 1
        }
        if let colon = name.firstIndex(of: ":") {
            guard Self.isPort(name[colon...]) else { return false }
            name = String(name[..<colon])
        }
        var address = in_addr()
        return name == "localhost" || inet_pton(AF_INET, name, &address) == 1 || hostNames.contains(name)
    }

    private static func isPort(_ text: Substring) -> Bool { text.first == ":" && UInt16(text.dropFirst()) != nil }

    private static func bearer(_ header: String) -> String? {
        header.hasPrefix("Bearer ") ? String(header.dropFirst(7)) : nil
    }

    static func value(of name: String, in cookies: String) -> String? {
        for pair in cookies.split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            if parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == name { return String(parts[1]) }
        }
        return nil
    }

    /// Takes as long for a token that is nearly right as for any other.
    private func matches(_ given: String) -> Bool {
        let given = Array(given.utf8)
        let right = Array(token!.utf8)
        var difference = given.count ^ right.count
        for index in right.indices { difference |= Int(right[index] ^ (index < given.count ? given[index] : 0)) }
        return difference == 0
    }
}
