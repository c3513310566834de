import Foundation
import Glibc

/// A bare TCP or Unix connection to where a coordinator listens: it need not even speak ZeroMQ.
final class RawStream {
    /// What a ZeroMQ 3 peer says first: signature, version 3.0, mechanism NULL.
    static let greeting: [UInt8] =
        [0xFF] + Array(repeating: 0, count: 8) + [0x7F, 3, 0] + Array("NULL".utf8) + Array(repeating: 0, count: 48)

    private let descriptor: Int32

    /// - Parameter endpoint: `tcp://127.0.0.1:PORT` or `ipc://PATH`.
    init?(_ endpoint: String) {
        if let path = endpoint.hasPrefix("ipc://") ? endpoint.dropFirst(6) : nil {
            descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
            guard Self.connect(descriptor, address) else { return nil }
        } else {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard let port = UInt16(endpoint.split(separator: ":").last ?? "") else { return nil }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            guard Self.connect(descriptor, address) else { return nil }
        }
    }

    deinit { close(descriptor) }

    private static func connect<Address>(_ descriptor: Int32, _ address: Address) -> Bool {
        withUnsafeBytes(of: address) { bytes in
            Glibc.connect(
                descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count)) == 0
        }
    }

    /// Writes until all is taken, or the other side has hung up.
    func write(_ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            done += count
        }
    }

    /// What the other side says until it hangs up, or until it has been silent for `seconds` and has said as many bytes
    /// as are waited for, which may take as long as a test may.
    func read(untilSilentFor seconds: Double, atLeast bytes: Int = 0) -> [UInt8] {
        var heard: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let limit = heard.count < bytes ? Deadline.seconds : seconds
            guard poll(&polled, 1, Int32(limit * 1000)) > 0 else { return heard }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return heard }
            heard += buffer[..<count]
        }
    }
}
