import Foundation
import FoundationNetworking
import Synchronization
import Testing

@testable import Dashboard

@Suite("The page's server", .timeLimit(.minutes(3)))
struct DashboardServerTests {
    private func server(token: String? = nil, at address: String = "127.0.0.1:0") async throws -> DashboardServer {
        let run = DashboardRun(
            name: "<b>\"run", isLive: true, snapshot: { Array(#"{"step":1}"#.utf8) }, curve: { Array("{}".utf8) },
            metrics: { "lockstep_step 1\n" })
        let server = try DashboardServer(address: DashboardAddress(address), runs: [run], token: token)
        try await server.start()
        return server
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
        let server = try await server()
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
        #expect(try await get(server.url, method: "POST").code == 405)
        #expect(try await get(server.url, headers: ["Origin": "http://evil.example"]).code == 403)
        await server.stop()
    }

    @Test("No text reaches the page but as text")
    func escaping() {
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            #expect(!DashboardScript.text.contains(sink))
        }
    }

    @Test("Snapshots are streamed, and the stream ends with the server")
    func events() async throws {
        let server = try await server()
        let url = server.url + "events"
        let stream = Task { try await get(url) }
        while server.clientCount == 0 { try await Task.sleep(for: .milliseconds(10)) }
        await server.stop()
        let answer = try await stream.value
        #expect(answer.code == 200)
        #expect(answer.text.hasPrefix("retry: 1000\ndata: {\"step\":1}\n\n"))
        // The first, and the last.
        #expect(answer.text.components(separatedBy: "data: ").count >= 3)
    }

    @Test("With a token, nothing is read without it")
    func token() async throws {
        let token = "0123456789abcdef"
        let server = try await server(token: token)
        #expect(server.url.hasSuffix("/?token=\(token)"))
        let base = server.url.replacingOccurrences(of: "?token=\(token)", with: "")
        for path in ["", "metrics", "snapshot.json", "events", "page.js"] {
            #expect(try await get(base + path).code == 401, "\(path)")
        }
        let metrics = try await get(base + "metrics", headers: ["Authorization": "Bearer \(token)"])
        #expect(metrics.code == 200)
        // The answer to the whole address is a cookie, with which the page is read.
        #expect(try await get(server.url).text.contains("<title>Lockstep</title>"))
        await server.stop()
    }

    @Test("A busy address is said to be busy")
    func busy() async throws {
        let first = try await server()
        let address = first.url.replacingOccurrences(of: "http://", with: "").dropLast()
        await #expect(throws: DashboardError.self) { try await server(at: String(address)) }
        await first.stop()
    }
}
