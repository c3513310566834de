import Foundation
import Glibc

/// One accepted connection: a request, its answer, and the end. Nobody can hold it for long or fill memory by it.
///
/// A class, since Swift 6.3 forgets the `deinit` of a struct that cannot be copied where a typed error is caught, in debug
/// builds.
final class HTTPConnection {
    private let descriptor: Int32
    private let patience: Duration
    private let deadline: ContinuousClock.Instant

    /// - Parameters:
    ///   - descriptor: of a connected socket, which this closes.
    ///   - patience: seconds that the request may take, and that one piece of the answer may.
    init(descriptor: Int32, patience: Double) {
        self.descriptor = descriptor
        self.patience = .seconds(patience)
        deadline = .now + .seconds(patience)
        var limit = timeval(tv_sec: Int(patience), tv_usec: Int((patience - patience.rounded(.down)) * 1e6))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// nil where the peer left without a word.
    func request() throws(HTTPRequest.Refusal) -> HTTPRequest? {
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if count == 0 || errno != EAGAIN { return nil }
                throw HTTPRequest.Refusal(status: 408, reason: "the request did not come in time")
            }
            // The end may lie across two reads.
            let from = max(0, head.count - 3)
            head += buffer[..<count]
            if let end = Self.end(of: head, from: from) { return try HTTPRequest(head: head[..<end]) }
            guard head.count <= HTTPRequest.maximumHead else {
                throw HTTPRequest.Refusal(status: 431, reason: "the request is too long")
            }
            guard ContinuousClock.now < deadline else {
                throw HTTPRequest.Refusal(status: 408, reason: "the request did not come in time")
            }
        }
    }

    func answer(_ response: HTTPResponse, hasBody: Bool = true) {
        var isTaken = send(response.head)
        if isTaken, hasBody, !response.body.isEmpty { isTaken = send(response.body) }
        // Begun even for a peer that is gone already: a stream cleans up after itself.
        response.stream? { isTaken && send($0) }
    }

    /// Lets the peer read the answer before what it sent too much makes the system cut the connection.
    func part() {
        shutdown(descriptor, Int32(SHUT_WR))
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 where recv(descriptor, &buffer, buffer.count, 0) <= 0 { return }
    }

    /// Whether all was taken.
    private func send(_ bytes: [UInt8]) -> Bool {
        let end = ContinuousClock.now + patience
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0, ContinuousClock.now < end else { return false }
            sent += count
        }
        return true
    }

    /// Where the empty line begins: its own line end and the one before are no part of the head.
    private static func end(of head: [UInt8], from: Int) -> Int? {
        var index = from
        while index + 1 < head.count {
            if head[index] == UInt8(ascii: "\n") {
                if head[index + 1] == UInt8(ascii: "\n") { return index }
                if index + 2 < head.count, head[index + 1] == UInt8(ascii: "\r"), head[index + 2] == UInt8(ascii: "\n")
                {
                    return index > 0 && head[index - 1] == UInt8(ascii: "\r") ? index - 1 : index
                }
            }
            index += 1
        }
        return nil
    }
}
