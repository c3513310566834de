/// What is sent back. The connection is closed after it.
struct HTTPResponse {
    var status: Int
    var type = "text/plain; charset=utf-8"
    /// More headers, as they are.
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// What follows the body, for as long as `write` takes it; then the length is not told beforehand.
    var stream: ((_ write: ([UInt8]) -> Bool) -> Void)?

    init(status: Int, text: String) {
        self.status = status
        body = Array((text + "\n").utf8)
    }

    init(_ body: [UInt8], type: String) {
        status = 200
        self.type = type
        self.body = body
    }

    private static let phrases = [
        200: "OK", 303: "See Other", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
        405: "Method Not Allowed", 408: "Request Timeout", 421: "Misdirected Request",
        431: "Request Header Fields Too Large", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
    ]

    /// The status line and all headers. Nothing but the page's own files may run or be loaded in it.
    var head: [UInt8] {
        var text = "HTTP/1.1 \(status) \(Self.phrases[status] ?? "Error")\r\n"
        func add(_ name: String, _ value: String) { text += "\(name): \(value)\r\n" }
        add("Content-Type", type)
        if stream == nil { add("Content-Length", "\(body.count)") }
        add("Connection", "close")
        add("Cache-Control", "no-store")
        add(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
                + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        add("X-Content-Type-Options", "nosniff")
        add("Referrer-Policy", "no-referrer")
        add("Cross-Origin-Resource-Policy", "same-origin")
        for (name, value) in headers { add(name, value) }
        return Array((text + "\r\n").utf8)
    }
}
