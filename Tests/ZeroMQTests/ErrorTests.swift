import Testing

@testable import ZeroMQ

@Suite("Errors and endpoints")
struct ErrorTests {
    private func bindError(_ endpoint: String) throws -> ZeroMQError? {
        let context = try Context()
        let router = try Socket(.router, context: context)
        return #expect(throws: ZeroMQError.self) { () throws in try router.bind(endpoint) }
    }

    @Test("A busy port is named with its remedy")
    func busyPort() throws {
        let context = try Context()
        let first = try Socket(.router, context: context)
        try first.bind("tcp://127.0.0.1:0")
        let busy = first.lastEndpoint
        #expect(
            try bindError(busy)?.description
                == "cannot listen on \(busy): the address is in use: choose another with --listen, "
                + "or stop the other program")
    }

    @Test(
        "Each unusable endpoint gets its own remedy",
        arguments: [
            ("tcp://nosuchinterface:5757", "no such address or interface"),
            ("tcp://192.0.2.1:0", "no such address or interface"),
            ("tcp://127.0.0.1", "no usable endpoint"),
            ("rubbish", "no usable endpoint"),
            ("ipc:///" + String(repeating: "p", count: 120), "at most 107 bytes"),
            ("ipc:///no-such-directory/socket", "no such directory"),
        ])
    func remedies(_ endpoint: String, _ remedy: String) throws {
        let text = try #require(try bindError(endpoint)).description
        #expect(text.contains(remedy), "\(text)")
        #expect(text.hasPrefix("cannot listen on \(endpoint): "))
        #expect(!text.contains("\n"))
    }

    @Test("A malformed endpoint to connect to names --connect")
    func connectError() throws {
        let context = try Context()
        let dealer = try Socket(.dealer, context: context)
        let error = #expect(throws: ZeroMQError.self) { () throws in try dealer.connect("tcp://host") }
        #expect(error?.description.contains("--connect") == true)
    }

    @Test("Permission denied has its remedy")
    func permission() {
        // EACCES, which a test that root runs cannot provoke.
        let port = ZeroMQError(operation: .listen, endpoint: "tcp://127.0.0.1:80", code: 13)
        #expect(port.description.contains("choose a port above 1023 with --listen"))
        let path = ZeroMQError(operation: .listen, endpoint: "ipc:///root/socket", code: 13)
        #expect(path.description.contains("a directory that you may write to"))
    }

    @Test(
        "Endpoints are told local from remote",
        arguments: [
            ("tcp://127.0.0.1:5757", true), ("tcp://127.8.9.10:0", true), ("tcp://[::1]:1", true),
            ("tcp://localhost:65535", true), ("ipc:///tmp/socket", true), ("tcp://*:5757", false),
            ("tcp://10.0.0.1:5757", false), ("tcp://[fe80::1%eth0]:5757", false), ("tcp://node-3.example:5757", false),
            ("tcp://127.example:5757", false),
        ])
    func local(_ text: String, _ isLocal: Bool) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.isLocal == isLocal)
        #expect(endpoint.text == text)
    }

    @Test(
        "A text that is no endpoint is refused for the right reason",
        arguments: [
            ("", EndpointError.Reason.scheme), ("udp://h:1", .scheme), ("127.0.0.1:5757", .scheme),
            ("tcp://host", .port), ("tcp://host:", .port), ("tcp://host:65536", .port), ("tcp://host:+1", .port),
            ("tcp://:1", .host), ("tcp://::1:1", .host), ("tcp://[::g]:1", .host), ("tcp://[]:1", .host),
            ("tcp://1.2.3.400:1", .host), ("tcp://a b:1", .host), ("tcp://[:1", .host), ("tcp://[:::1", .host),
            ("ipc://", .emptyPath), ("ipc://a\0b", .nulByte),
        ])
    func refused(_ text: String, _ reason: EndpointError.Reason) {
        #expect(throws: EndpointError(text: text, reason: reason)) { try Endpoint(text) }
    }

    @Test("An ipc path may have 107 bytes and not 108")
    func pathLength() throws {
        let longest = "ipc://" + String(repeating: "p", count: 107)
        #expect(try Endpoint(longest).isLocal)
        let error = #expect(throws: EndpointError.self) { try Endpoint(longest + "p") }
        #expect(error?.description.contains("108 bytes: choose one of at most 107") == true)
    }

    @Test("The version is libzmq's")
    func version() { #expect(versionText().hasPrefix("4.")) }
}
