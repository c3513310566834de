import Testing

@testable import Dashboard

@Suite("Requests for the page")
struct HTTPRequestTests {
    private func request(_ text: String) throws(HTTPRequest.Refusal) -> HTTPRequest {
        try HTTPRequest(head: Array(text.utf8))
    }

    @Test("Method, path, query and headers are read, whatever the case of a name and the blanks about a value")
    func wellFormed() throws {
        let request = try request(
            "GET /curve.json?run=1&token=a=b&flag HTTP/1.1\r\nHost: 127.0.0.1:80\r\nX-Empty:\r\nCOOKIE: \t a=b; c=d \t")
        #expect(request.method == "GET")
        #expect(request.path == "/curve.json")
        #expect(request.query == ["run": "1", "token": "a=b", "flag": ""])
        #expect(request.headers == ["host": "127.0.0.1:80", "x-empty": "", "cookie": "a=b; c=d"])
        #expect(try self.request("HEAD / HTTP/1.0").headers.isEmpty)
        #expect(try self.request("GET / HTTP/1.1\nHost: a").headers == ["host": "a"])
    }

    @Test(
        "What is no request is refused",
        arguments: [
            "", "GET", "GET /", "GET  / HTTP/1.1", "GET http://127.0.0.1/ HTTP/1.1", "GET * HTTP/1.1", " / HTTP/1.1",
            "GET / HTTP/1.1 more", "GET / HTTP/1.1\r\nno colon", "GET / HTTP/1.1\r\n: nameless",
            "GET / HTTP/1.1\r\nHost : a", "GET / HTTP/1.1\r\n folded: line", "GET / HTTP/1.1\r\nHöst: a",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: b", "GET / HTTP/1.1\r\n\r\nHost: a",
        ])
    func malformed(text: String) {
        let refusal = #expect(throws: HTTPRequest.Refusal.self) { try request(text) }
        #expect(refusal?.status == 400)
    }

    @Test("Other versions are refused, and bytes that are no text")
    func strange() {
        let version = #expect(throws: HTTPRequest.Refusal.self) { try request("GET / HTTP/2") }
        #expect(version?.status == 505)
        #expect(throws: HTTPRequest.Refusal.self) { try HTTPRequest(head: [0x47, 0xFF, 0x20]) }
    }
}
