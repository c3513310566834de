import Testing

@testable import Dashboard

@Suite("Who may read the page")
struct RequestGuardTests {
    private let open = RequestGuard(token: nil, hostNames: ["trainer"])
    private let closed = RequestGuard(token: "0123456789abcdef", hostNames: ["trainer"])

    private func verdict(
        _ guardian: RequestGuard, host: String?, origin: String? = nil, authorization: String? = nil,
        cookies: String? = nil, token: String? = nil
    ) -> RequestGuard.Verdict {
        guardian.verdict(
            host: host, origin: origin, authorization: authorization, cookies: cookies, queryToken: token)
    }

    @Test(
        "Addresses, localhost and this machine's name are known hosts",
        arguments: ["127.0.0.1:8080", "localhost:1", "localhost", "[::1]:80", "10.0.0.7:9090", "trainer:80", "Trainer"])
    func knownHosts(host: String) { #expect(verdict(open, host: host) == .allowed) }

    @Test(
        "Any other name may have been made to point here, and is refused",
        arguments: ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil", "127.0.0.1:x", "[::1", "", "a:b:c"])
    func strangeHosts(host: String) {
        guard case .refused(421, _) = verdict(open, host: host) else {
            Issue.record("\(host) was let in")
            return
        }
    }

    @Test("A request without a host is refused")
    func noHost() {
        guard case .refused(400, _) = verdict(open, host: nil) else {
            Issue.record("it was let in")
            return
        }
    }

    @Test("A page of another site may not read")
    func origins() {
        #expect(verdict(open, host: "127.0.0.1:80", origin: "http://127.0.0.1:80") == .allowed)
        for origin in ["http://evil.example", "null", "http://127.0.0.1:81", "https://127.0.0.1:80"] {
            guard case .refused(403, _) = verdict(open, host: "127.0.0.1:80", origin: origin) else {
                Issue.record("\(origin) was let in")
                continue
            }
        }
    }

    @Test("With a token, only who knows it may read: in a header, a cookie or once in the address")
    func tokens() {
        let right = "0123456789abcdef"
        #expect(verdict(closed, host: "10.0.0.1:1", authorization: "Bearer \(right)") == .allowed)
        #expect(verdict(closed, host: "10.0.0.1:1", cookies: "a=b; lockstep_token=\(right)") == .allowed)
        #expect(verdict(closed, host: "10.0.0.1:1", token: right) == .allowedByAddress)
        // Prometheus under a name that this machine does not know.
        #expect(verdict(closed, host: "trainer.cluster.local:1", authorization: "Bearer \(right)") == .allowed)
        for wrong in ["", "0", "0123456789abcdeg", right + "0", String(right.dropLast())] {
            for tried in [
                verdict(closed, host: "10.0.0.1:1", authorization: "Bearer \(wrong)"),
                verdict(closed, host: "10.0.0.1:1", cookies: "lockstep_token=\(wrong)"),
                verdict(closed, host: "10.0.0.1:1", token: wrong), verdict(closed, host: "10.0.0.1:1"),
            ] {
                guard case .refused(401, _) = tried else {
                    Issue.record("\(wrong) was let in")
                    continue
                }
            }
        }
    }

    @Test("An address is a host and a port, and no other")
    func addresses() throws {
        #expect(try DashboardAddress("127.0.0.1:8080").description == "127.0.0.1:8080")
        #expect(try DashboardAddress("localhost:0").isLoopback)
        #expect(try DashboardAddress("[::1]:80").isLoopback)
        #expect(try !DashboardAddress("0.0.0.0:80").isLoopback)
        for text in ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:99999", "a/b:80", "a b:80", "::1:80", "127.0.0.1:-1"]
        {
            #expect(throws: DashboardError.self, "\(text)") { try DashboardAddress(text) }
        }
    }

    @Test("A name stands for its address, and by that alone it is within this machine or beyond")
    func names() throws {
        #expect(try DashboardAddress("[::1]:8080").resolved() == DashboardAddress("[::1]:8080"))
        #expect(try DashboardAddress("0.0.0.0:8080").resolved() == DashboardAddress("0.0.0.0:8080"))
        // What resolvers take for numbers.
        let short = try DashboardAddress("127.1:80")
        #expect(!short.isLoopback)
        #expect(try short.resolved().description == "127.0.0.1:80")
        #expect(try !DashboardAddress("127.0.0.1.example.org:80").isLoopback)
        let error = #expect(throws: DashboardError.self) { try DashboardAddress("no.such.host.invalid:1").resolved() }
        #expect(error?.description.contains("no.such.host.invalid cannot be found") == true, "\(error as Any)")
    }
}
