import Synchronization
import Testing

@testable import ZeroMQ

@Suite("CURVE") struct CurveTests {
    @Test("A key pair is read back from its secret key's text")
    func roundTrip() throws {
        let pair = try CurveKeyPair.generate()
        #expect(pair.secretKey.z85.utf8.count == 40)
        #expect(try CurveKeyPair(secretKey: CurveKey(z85: pair.secretKey.z85)) == pair)
        #expect(try CurveKeyPair.generate() != pair)
    }

    @Test("The example of the Z85 specification is read as it says")
    func specification() throws {
        let key = try CurveKey(z85: "HelloWorldHelloWorldHelloWorldHelloWorld")
        #expect(Array(key.bytes.prefix(8)) == [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B])
    }

    @Test(
        "Text that is no key is refused, and not repeated",
        arguments: [
            "", "short", String(repeating: "a", count: 39), String(repeating: "a", count: 45),
            String(repeating: "\"", count: 40), String(repeating: "#", count: 40), String(repeating: "\0", count: 40),
        ])
    func refused(_ text: String) {
        let error = #expect(throws: ZeroMQError.self) { try CurveKey(z85: text) }
        #expect(
            error?.description
                == "cannot use the CURVE key: it is not 40 characters of Z85; make keys with: lockstep keys")
    }

    @Test("A listed key gets in, another does not, until it is listed")
    func allowlist() throws {
        let server = try CurveKeyPair.generate()
        let friend = try CurveKeyPair.generate()
        let stranger = try CurveKeyPair.generate()
        let context = try Context()
        let allowed = Mutex<Set<CurveKey>>([friend.publicKey])
        let allowlist = try CurveAllowlist(context: context) { key, address in
            address == "127.0.0.1" && allowed.withLock { $0.contains(key) }
        }
        defer { allowlist.close() }
        let router = try Socket(.router, context: context)
        try router.set(.curveServer(server))
        try router.set(.zapDomain("lockstep"))
        try router.bind("tcp://127.0.0.1:0")
        let outside = try dealer(context, .curveClient(stranger, server: server.publicKey), router.lastEndpoint)
        let inside = try dealer(context, .curveClient(friend, server: server.publicKey), router.lastEndpoint)
        #expect(try Poller.waitUntilWritable(socket: inside, milliseconds: timeout))
        #expect(try inside.send([1]) == .sent)
        #expect(try next(router) == [[1]])
        // The stranger asked first, and the friend was let in meanwhile.
        #expect(try outside.send([2]) == .wouldBlock)
        allowed.withLock { $0 = [stranger.publicKey] }
        // libzmq does not try again by itself after a refusal.
        let again = try dealer(context, .curveClient(stranger, server: server.publicKey), router.lastEndpoint)
        #expect(try Poller.waitUntilWritable(socket: again, milliseconds: timeout))
        #expect(try again.send([3]) == .sent)
        #expect(try next(router) == [[3]])
    }

    @Test("A message tells the key of its sender, whatever routing id that chose")
    func sender() throws {
        let server = try CurveKeyPair.generate()
        let friend = try CurveKeyPair.generate()
        let context = try Context()
        let allowlist = try CurveAllowlist(context: context) { _, _ in true }
        defer { allowlist.close() }
        let router = try Socket(.router, context: context)
        try router.set(.curveServer(server))
        try router.set(.zapDomain("lockstep"))
        try router.bind("tcp://127.0.0.1:0")
        let client = try dealer(context, .curveClient(friend, server: server.publicKey), router.lastEndpoint)
        #expect(try Poller.waitUntilWritable(socket: client, milliseconds: timeout))
        #expect(try client.send([1], [2]) == .sent)
        #expect(try Poller.wait(socket: router, milliseconds: timeout).socket)
        guard let message = try router.receive(maximumParts: 2) else { throw NothingCame() }
        let sender = message.sender
        #expect(sender == friend.publicKey)
    }

    /// What the client's side of a connection, and the server's, say of why it failed.
    @Test(
        "Both sides learn why a connection failed",
        arguments: [
            (Mistake.unlisted, ConnectionEvent.Failure.notAllowed, ConnectionEvent.Failure.notAllowed),
            (.wrongServerKey, .ended, .cryptography), (.plainClient, .mechanism, .mechanism),
            (.plainServer, .mechanism, .mechanism),
        ])
    func failures(_ mistake: Mistake, client: ConnectionEvent.Failure, server: ConnectionEvent.Failure) throws {
        let pair = try CurveKeyPair.generate()
        let context = try Context()
        let allowlist = try CurveAllowlist(context: context) { _, _ in mistake != .unlisted }
        defer { allowlist.close() }
        let router = try Socket(.router, context: context)
        let watch = try ConnectionMonitor(address: router.reportConnections(), context: context)
        if mistake != .plainServer { try router.set(.curveServer(pair)) }
        try router.set(.zapDomain("lockstep"))
        try router.bind("tcp://127.0.0.1:0")
        let dealer = try Socket(.dealer, context: context)
        try dealer.set(.linger(milliseconds: 0))
        let clientWatch = try ConnectionMonitor(address: dealer.reportConnections(), context: context)
        if mistake != .plainClient {
            let key = mistake == .wrongServerKey ? try CurveKeyPair.generate().publicKey : pair.publicKey
            try dealer.set(.curveClient(CurveKeyPair.generate(), server: key))
        }
        try dealer.connect(router.lastEndpoint)
        #expect(try failure(clientWatch) == client)
        #expect(try failure(watch) == server)
    }

    enum Mistake: Sendable { case unlisted, wrongServerKey, plainClient, plainServer }

    private func failure(_ monitor: borrowing ConnectionMonitor) throws -> ConnectionEvent.Failure {
        let deadline = ContinuousClock.now + .milliseconds(timeout)
        while ContinuousClock.now < deadline {
            if case .failed(let failure) = try monitor.next() { return failure }
            _ = try monitor.wait(milliseconds: 100)
        }
        throw NothingCame()
    }

    @Test("Plain text does not get in where CURVE is asked for")
    func plain() throws {
        let context = try Context()
        let server = try CurveKeyPair.generate()
        let router = try Socket(.router, context: context)
        try router.set(.curveServer(server))
        try router.bind("tcp://127.0.0.1:0")
        let plain = try dealer(context, .linger(milliseconds: 0), router.lastEndpoint)
        let curve = try dealer(
            context, .curveClient(CurveKeyPair.generate(), server: server.publicKey), router.lastEndpoint)
        #expect(try Poller.waitUntilWritable(socket: curve, milliseconds: timeout))
        #expect(try plain.send([1]) == .wouldBlock)
    }

    @Test("A client that no allowlist let in has no name")
    func nobodyToAsk() throws {
        let server = try CurveKeyPair.generate()
        let context = try Context()
        let router = try Socket(.router, context: context)
        try router.set(.curveServer(server))
        try router.set(.zapDomain("lockstep"))
        try router.bind("tcp://127.0.0.1:0")
        let client = try dealer(
            context, .curveClient(CurveKeyPair.generate(), server: server.publicKey), router.lastEndpoint)
        #expect(try Poller.waitUntilWritable(socket: client, milliseconds: timeout))
        #expect(try client.send([1]) == .sent)
        #expect(try Poller.wait(socket: router, milliseconds: timeout).socket)
        guard let message = try router.receive(maximumParts: 2) else { throw NothingCame() }
        let sender = message.sender
        #expect(sender == nil)
    }

    @Test("A context has one allowlist")
    func one() throws {
        let context = try Context()
        let allowlist = try CurveAllowlist(context: context) { _, _ in false }
        defer { allowlist.close() }
        #expect(throws: ZeroMQError.self) { try CurveAllowlist(context: context) { _, _ in false } }
    }

    private func dealer(_ context: Context, _ option: SocketOption, _ endpoint: String) throws -> Socket {
        let socket = try Socket(.dealer, context: context)
        try socket.set(.immediate(true))
        try socket.set(.linger(milliseconds: 0))
        try socket.set(option)
        try socket.connect(endpoint)
        return socket
    }
}
