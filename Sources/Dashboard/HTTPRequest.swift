/// The head of an HTTP/1 request, from bytes that anyone may have sent. A body is never read: the page only answers.
struct HTTPRequest: Equatable {
    /// Why a request is not answered: the status that says so.
    struct Refusal: Error, Equatable {
        var status: Int
        var reason: String
    }

    /// Bytes of a head at most, line ends and the empty line included.
    static let maximumHead = 16_384

    var method: String
    /// Begins with a slash; not decoded, since no name that is served has an escape.
    var path: String
    var query: [String: String] = [:]
    /// Names in lower case. One that came twice is refused.
    var headers: [String: String] = [:]

    /// - Parameter head: up to and without the empty line.
    init(head: some Collection<UInt8>) throws(Refusal) {
        let bad = Refusal(status: 400, reason: "this is no HTTP request")
        guard let text = String(validating: head, as: UTF8.self) else { throw bad }
        // A line end is one character of a String, alone or after a return.
        var lines = text.split(omittingEmptySubsequences: false) { $0 == "\r\n" || $0 == "\n" }[...]
        let words = lines.removeFirst().split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[1].first == "/" else { throw bad }
        guard words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0" else {
            throw Refusal(status: 505, reason: "this speaks HTTP/1.1")
        }
        method = String(words[0])
        let parts = words[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts[0])
        if parts.count > 1 {
            for pair in parts[1].split(separator: "&") {
                let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                query[String(sides[0])] = sides.count > 1 ? String(sides[1]) : ""
            }
        }
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
                line[..<colon].utf8.allSatisfy({ $0 > UInt8(ascii: " ") && $0 < 0x7F })
            else { throw bad }
            let name = line[..<colon].lowercased()
            var value = line[line.index(after: colon)...]
            while let first = value.first, first == " " || first == "\t" { value.removeFirst() }
            while let last = value.last, last == " " || last == "\t" { value.removeLast() }
            guard headers.updateValue(String(value), forKey: name) == nil else {
                throw Refusal(status: 400, reason: "the header \(name) came twice")
            }
        }
    }
}
