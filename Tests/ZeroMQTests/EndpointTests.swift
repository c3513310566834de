import Foundation
import Testing

@testable import ZeroMQ

@Suite("Endpoint") struct EndpointTests {
    @Test(
        "An address is read and written the same",
        arguments: [
            ("tcp://127.0.0.1:5757", true), ("tcp://127.9.9.9:0", true), ("tcp://[::1]:1", true),
            ("tcp://LocalHost:65535", true), ("tcp://[::ffff:127.0.0.1]:80", true), ("ipc://a/b.socket", true),
            ("ipc:///run/bus", true), ("tcp://*:5757", false), ("tcp://0.0.0.0:1", false), ("tcp://[::]:1", false),
            ("tcp://node-3.example.org:5757", false), ("tcp://127.example.org:1", false),
            ("tcp://[fe80::1%eth0]:9", false),
        ])
    func valid(_ text: String, _ isLoopback: Bool) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.description == text)
        #expect(endpoint.isLoopback == isLoopback)
    }

    @Test(
        "What is no address is refused with what to write",
        arguments: [
            ("", "write tcp://HOST:PORT or ipc://PATH"), ("udp://h:1", "write tcp://HOST:PORT or ipc://PATH"),
            ("127.0.0.1:1", "write tcp://HOST:PORT or ipc://PATH"), ("tcp://host", "the port is missing"),
            ("tcp://host:", "from 0 to 65535"), ("tcp://host:65536", "from 0 to 65535"),
            ("tcp://host:-1", "from 0 to 65535"),
            ("tcp://host:+1", "from 0 to 65535"), ("tcp://:1", "the host must be"), ("tcp://::1:1", "the host must be"),
            ("tcp://[::g]:1", "the host must be"), ("tcp://[]:1", "the host must be"),
            ("tcp://a/b:1", "the host must be"),
            ("tcp://a b:1", "blanks"), ("ipc://a\nb", "blanks"), ("ipc://a\0b", "blanks"),
            ("ipc://", "the path is missing"),
            ("ipc://@name", "not the path of a file"),
        ])
    func invalid(_ text: String, _ advice: String) {
        let error = #expect(throws: ZeroMQError.self) { try Endpoint(text) }
        #expect(error?.description.contains(advice) == true)
    }

    @Test("An ipc path may have 107 bytes, and no more")
    func longPath() throws {
        let longest = "ipc:///" + String(repeating: "é", count: 53)
        #expect(try Endpoint(longest).isIPC)
        let error = #expect(throws: ZeroMQError.self) { try Endpoint(longest + "x") }
        #expect(
            error?.description
                == "cannot use the address \(longest)x: the path has 108 bytes, and the system allows 107; choose a shorter one"
        )
    }

    @Test("An address in use is named with what to do", arguments: ["tcp://127.0.0.1:0", "ipc"])
    func inUse(_ address: String) throws {
        let link = try Link(address == "ipc" ? ipcEndpoint() : address)
        let error = bindError(link.endpoint)
        #expect(
            error?.description
                == "cannot listen on \(link.endpoint): the address is in use; choose another with --listen or stop the other program"
        )
        #expect(error?.endpoint == link.endpoint)
        // The one who was there first still is.
        #expect(try link.dealer.send([1]) == .sent)
        #expect(try next(link.router) == [[1]])
    }

    @Test("A file where the socket should be is left alone")
    func fileInTheWay() throws {
        let endpoint = ipcEndpoint()
        let path = String(endpoint.dropFirst(6))
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(bindError(endpoint)?.description.contains("a file that is not a socket") == true)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test("A socket that a dead program left behind is replaced")
    func leftBehind() throws {
        let endpoint = ipcEndpoint()
        let path = String(endpoint.dropFirst(6))
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafeBytes(of: address) {
            bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        close(descriptor)
        try #require(status == 0)
        _ = try Link(endpoint)
    }

    @Test(
        "An address that cannot be listened on says why",
        arguments: [
            ("tcp://192.0.2.1:5757", "this machine has no such address"),
            ("tcp://no-such-host.invalid:5757", "this machine has no such address"),
            ("ipc:///no-such-folder/socket", "the folder does not exist"),
        ])
    func cannotListen(_ endpoint: String, _ advice: String) {
        #expect(bindError(endpoint)?.description.contains(advice) == true)
    }

    @Test("Addresses for listening cannot be connected to", arguments: ["tcp://*:5757", "tcp://127.0.0.1:0"])
    func cannotConnect(_ endpoint: String) throws {
        let dealer = try Socket(.dealer, context: Context())
        let error = #expect(throws: ZeroMQError.self) { try dealer.connect(endpoint) }
        #expect(error?.description.contains("--connect") == true)
    }

    private func bindError(_ endpoint: String) -> ZeroMQError? {
        #expect(throws: ZeroMQError.self) { try Socket(.router, context: Context()).bind(endpoint) }
    }
}
