import Foundation
import Glibc

/// A connection to the page's server that sends what it is told, and closes with the object.
final class RawClient {
    struct Failure: Error {
        var description: String
    }

    private let descriptor: Int32
    /// For tests that hang: far above all waits of the server.
    private let deadline = ContinuousClock.now + .seconds(30)

    /// - Parameters:
    ///   - url: the server's address.
    ///   - head: sent with a `Host` header and the empty line; nil sends nothing.
    ///   - ends: whether these follow.
    init(_ url: String, _ head: String?, host: String? = nil, ends: Bool = true) throws {
        let port = URL(string: url)!.port!
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failure(description: "cannot connect: \(String(cString: strerror(errno)))") }
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if let head { _ = send(head + (ends ? "Host: \(host ?? "127.0.0.1:\(port)")\r\n\r\n" : "")) }
    }

    deinit { close(descriptor) }

    /// What comes up to a text, or up to the end.
    func receive(until text: String?) throws -> String {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EAGAIN { throw Failure(description: "nothing came for half a minute") }
            guard ContinuousClock.now < deadline else { throw Failure(description: "it goes on for half a minute") }
            guard count > 0 else { return String(decoding: received, as: UTF8.self) }
            received += buffer[..<count]
            if let text, String(decoding: received, as: UTF8.self).contains(text) {
                return String(decoding: received, as: UTF8.self)
            }
        }
    }

    /// Sends the same again and again until the server cuts it off, or for half a minute; bytes that were sent.
    func sendForever(_ text: String, pause: Double = 0) -> Int {
        var sent = 0
        while ContinuousClock.now < deadline, send(text) {
            sent += text.utf8.count
            if pause > 0 { Thread.sleep(forTimeInterval: pause) }
        }
        return sent
    }

    private func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }
}
