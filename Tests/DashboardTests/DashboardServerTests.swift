import Foundation
import FoundationNetworking
import Synchronization
import Testing

@testable import Dashboard

@Suite("The page's server", .timeLimit(.minutes(3)))
struct DashboardServerTests {
    private func server(
        token: String? = nil, at address: String = "127.0.0.1:0", timeout: Double = 10,
        snapshot: String = #"{"step":1}"#
    ) throws -> DashboardServer {
        let run = DashboardRun(
            name: "<b>\"run", isLive: true, snapshot: { Array(snapshot.utf8) }, curve: { Array("{}".utf8) },
            metrics: { "lockstep_step 1\n" })
        return try DashboardServer(
            listener: DashboardListener(DashboardAddress(address), of: "--dashboard"), runs: [run], token: token,
            timeout: timeout)
    }

    private func get(_ url: String, headers: [String: String] = [:], method: String = "GET") async throws -> (
        code: Int, text: String, policy: String?
    ) {
        var request = URLRequest(url: URL(string: url)!)
        request.httpMethod = method
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let (data, answer) = try await URLSession(configuration: .ephemeral).data(for: request)
        let response = answer as! HTTPURLResponse
        return (
            response.statusCode, String(decoding: data, as: UTF8.self),
            response.value(forHTTPHeaderField: "Content-Security-Policy")
        )
    }

    @Test("It serves the page, the run and the metrics, and allows no script but its own")
    func pages() async throws {
        let server = try server()
        let page = try await get(server.url)
        #expect(page.code == 200)
        #expect(page.text.contains("<title>Lockstep</title>"))
        #expect(page.policy?.contains("default-src 'none'; script-src 'self'") == true)
        #expect(try await get(server.url + "metrics").text == "lockstep_step 1\n")
        #expect(try await get(server.url + "snapshot.json?run=0").text == #"{"step":1}"#)
        #expect(try await get(server.url + "snapshot.json?run=1").code == 404)
        #expect(try await get(server.url + "runs.json").text.contains(#""live":true"#))
        #expect(try await get(server.url + "page.js").text.contains("EventSource"))
        #expect(try await get(server.url + "../../etc/passwd").code == 404)
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            #expect(try await get(server.url, method: method).code == 405, "\(method)")
        }
        #expect(try await get(server.url, headers: ["Origin": "http://evil.example"]).code == 403)
        server.stop()
    }

    @Test("No text reaches the page but as text")
    func escaping() {
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            #expect(!DashboardScript.text.contains(sink))
        }
    }

    @Test("Snapshots are streamed, and the stream ends with the server")
    func events() async throws {
        let server = try server()
        let url = server.url + "events"
        let stream = Task { try await get(url) }
        while server.clientCount == 0 { try await Task.sleep(for: .milliseconds(10)) }
        server.stop()
        let answer = try await stream.value
        #expect(answer.code == 200)
        #expect(answer.text.hasPrefix("retry: 1000\ndata: {\"step\":1}\n\n"))
        // The first, and the last.
        #expect(answer.text.components(separatedBy: "data: ").count >= 3)
    }

    @Test("With a token, nothing is read without it")
    func token() async throws {
        let token = "0123456789abcdef"
        let server = try server(token: token)
        #expect(server.url.hasSuffix("/?token=\(token)"))
        let base = server.url.replacingOccurrences(of: "?token=\(token)", with: "")
        for path in ["", "metrics", "snapshot.json", "events", "page.js"] {
            #expect(try await get(base + path).code == 401, "\(path)")
        }
        let metrics = try await get(base + "metrics", headers: ["Authorization": "Bearer \(token)"])
        #expect(metrics.code == 200)
        // The answer to the whole address is a cookie, with which the page is read.
        #expect(try await get(server.url).text.contains("<title>Lockstep</title>"))
        server.stop()
    }

    @Test("A page that was asked for by a name is served under it, as under its address")
    func named() async throws {
        // Of an address in short the resolver makes one in full, as of a name, and needs no name server for it.
        let server = try server(at: "127.1:0")
        #expect(server.url.hasPrefix("http://127.1:"))
        let address = server.url.replacing("127.1:", with: "127.0.0.1:")
        for (host, code) in [("127.1", 200), ("127.0.0.1", 200), ("127.2", 421)] {
            #expect(try await get(address, headers: ["Host": host]).code == code, "\(host)")
        }
        server.stop()
    }

    @Test("Thirty-two pages are served, the next is told so, and a page that goes makes room")
    func pages32() async throws {
        let server = try server()
        var pages = try (0..<SnapshotFeed.limit).map { _ in try RawClient(server.url, "GET /events HTTP/1.1\r\n") }
        for page in pages { #expect(try page.receive(until: "data: ").hasPrefix("HTTP/1.1 200 ")) }
        let late = try RawClient(server.url, "GET /events HTTP/1.1\r\n")
        #expect(try late.receive(until: "open already").hasPrefix("HTTP/1.1 503 "))
        // The other pages are served all the same.
        #expect(try await get(server.url + "metrics").code == 200)
        pages.removeLast()
        while server.clientCount == SnapshotFeed.limit { try await Task.sleep(for: .milliseconds(10)) }
        let next = try RawClient(server.url, "GET /events HTTP/1.1\r\n")
        #expect(try next.receive(until: "data: ").hasPrefix("HTTP/1.1 200 "))
        server.stop()
    }

    @Test("Connections that say nothing are bounded, and are cut after a while")
    func silentConnections() async throws {
        let server = try server(timeout: 1)
        var silent = try (0..<DashboardServer.connectionLimit + 8).map { _ in try RawClient(server.url, nil) }
        // Those above the limit are closed at once.
        #expect(try silent.last!.receive(until: nil) == "")
        // The others are told why after their second; then there is room again.
        #expect(try silent[0].receive(until: nil).hasPrefix("HTTP/1.1 408 "))
        silent = []
        while await (try? get(server.url + "metrics"))?.code != 200 { try await Task.sleep(for: .milliseconds(20)) }
        server.stop()
    }

    @Test("A request that does not end is cut at its bound, and one that drips in at its time")
    func endlessRequests() throws {
        let server = try server(timeout: 1)
        let long = try RawClient(server.url, "GET / HTTP/1.1\r\nX: ", ends: false)
        #expect(long.sendForever(String(repeating: "x", count: 4096)) < 10 << 20)
        let slow = try RawClient(server.url, "GET / HTTP/1.1\r\nX: ", ends: false)
        // Half a minute of it would be six hundred.
        #expect(slow.sendForever("x", pause: 0.05) < 300)
        let big = try RawClient(
            server.url, "GET / HTTP/1.1\r\nX: " + String(repeating: "x", count: 20_000), ends: false)
        #expect(try big.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 431 "))
        server.stop()
    }

    @Test("A page that stops reading is let go, and gives its place back")
    func stalledPage() async throws {
        // Far more than the system keeps for a reader.
        let server = try server(timeout: 1, snapshot: String(repeating: "x", count: 32 << 20))
        let page = try RawClient(server.url, "GET /events HTTP/1.1\r\n")
        #expect(try page.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
        let deadline = ContinuousClock.now + .seconds(60)
        while server.clientCount > 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
        #expect(server.clientCount == 0)
        withExtendedLifetime(page) {}
        server.stop()
    }

    @Test("The token's cookie is of no use to scripts and other sites, and no answer is framed, guessed at or kept")
    func headers() throws {
        let token = "0123456789abcdef"
        let server = try server(token: token)
        let answer = try RawClient(server.url, "GET /?token=\(token) HTTP/1.1\r\n").receive(until: nil)
        #expect(answer.hasPrefix("HTTP/1.1 303 "))
        #expect(answer.contains("\r\nLocation: /\r\n"))
        #expect(answer.contains("\r\nSet-Cookie: lockstep_token=\(token); HttpOnly; SameSite=Strict; Path=/\r\n"))
        for header in [
            "X-Content-Type-Options: nosniff", "Cache-Control: no-store", "Referrer-Policy: no-referrer",
            "Cross-Origin-Resource-Policy: same-origin",
        ] { #expect(answer.contains("\r\n\(header)\r\n"), "\(header)") }
        #expect(answer.contains("frame-ancestors 'none'"))
        server.stop()
    }

    @Test("A body is refused with its request, and not read")
    func body() throws {
        let server = try server()
        let client = try RawClient(server.url, "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n")
        #expect(try client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 405 "))
        server.stop()
    }

    @Test("HEAD has no body, and takes no page's place")
    func head() throws {
        let server = try server()
        for path in ["metrics", "events"] {
            let client = try RawClient(server.url, "HEAD /\(path) HTTP/1.1\r\n")
            let answer = try client.receive(until: nil)
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.hasSuffix("\r\n\r\n"))
        }
        #expect(server.clientCount == 0)
        server.stop()
    }

    @Test("A page under a name that was made to point here is not answered, with or without a cookie")
    func rebinding() throws {
        for token in [nil, "0123456789abcdef"] {
            let server = try server(token: token)
            for path in ["", "events", "metrics", "snapshot.json"] {
                let client = try RawClient(
                    server.url, "GET /\(path) HTTP/1.1\r\nCookie: lockstep_token=0123456789abcdef\r\n",
                    host: "evil.example")
                let answer = try client.receive(until: nil)
                #expect(answer.hasPrefix("HTTP/1.1 421 "), "\(path)")
                #expect(!answer.contains("step"))
            }
            server.stop()
        }
    }

    @Test("A busy address is said to be busy")
    func busy() throws {
        let first = try server()
        let address = first.url.replacingOccurrences(of: "http://", with: "").dropLast()
        #expect(throws: DashboardError.self) { try server(at: String(address)) }
        first.stop()
    }
}
