import Foundation
import Glibc

/// One accepted connection: a request, its answer, and the end. Nobody can hold it for long or fill memory by it.
///
/// A class, since Swift 6.3 forgets the `deinit` of a struct that cannot be copied where a typed error is caught, in debug
/// builds.
final class HTTPConnection {
    private let descriptor: Int32
    private let timeout: Duration

    /// - Parameters:
    ///   - descriptor: of a connected socket, which this closes.
    ///   - timeout: seconds that the request may take, and that one piece of the answer may.
    init(descriptor: Int32, timeout: Double) {
        self.descriptor = descriptor
        self.timeout = .seconds(timeout)
    }

    deinit { close(descriptor) }

    /// nil where the peer left without a word.
    func request() throws(HTTPRequest.Refusal) -> HTTPRequest? {
        let deadline = ContinuousClock.now + timeout
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            guard isReady(POLLIN, before: deadline) else {
                throw HTTPRequest.Refusal(status: 408, reason: "the request did not come in time")
            }
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return nil }
            // The end may lie across two reads.
            let from = max(0, head.count - 3)
            head += buffer[..<count]
            if let end = Self.end(of: head, from: from) { return try HTTPRequest(head: head[..<end]) }
            guard head.count <= HTTPRequest.maximumHead else {
                throw HTTPRequest.Refusal(status: 431, reason: "the request is too long")
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
        let deadline = ContinuousClock.now + .seconds(1)
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 {
            guard isReady(POLLIN, before: deadline), recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0
            else { return }
        }
    }

    /// Waits until something can be received or sent without waiting; false where that took too long.
    private func isReady(_ event: Int32, before deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return false }
            var waiting = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            // Rounded up, or the last part of a millisecond would be spent in polls that do not wait.
            let count = poll(&waiting, 1, Int32((left / .milliseconds(1)).rounded(.up)))
            if count > 0 { return true }
            if count == 0 || errno != EINTR { return false }
        }
    }

    /// Whether all was taken.
    private func send(_ bytes: [UInt8]) -> Bool {
        let deadline = ContinuousClock.now + timeout
        var sent = 0
        while sent < bytes.count {
            guard isReady(POLLOUT, before: deadline) else { return false }
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress! + sent, bytes.count - sent,
                    Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return false }
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
