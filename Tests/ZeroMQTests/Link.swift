import Foundation

@testable import ZeroMQ

/// Removed when the tests end: libzmq leaves its sockets behind.
private let folder: String = {
    let path = NSTemporaryDirectory() + "zeromq-\(getpid())"
    mkdir(path, 0o700)
    atexit { try? FileManager.default.removeItem(atPath: NSTemporaryDirectory() + "zeromq-\(getpid())") }
    return path
}()

/// An address that no other test has.
func ipcEndpoint() -> String { "ipc://\(folder)/\(UInt64.random(in: 0...UInt64.max))" }

/// A bound router, and a dealer that is connected to it and known to it.
struct Link: ~Copyable {
    static let name: [UInt8] = [0x57, 1, 2, 3]

    let context: Context
    let router: Socket
    let dealer: Socket
    let endpoint: String

    init(_ address: String = ipcEndpoint(), router routerOptions: [SocketOption] = []) throws {
        let context = try Context()
        let router = try Socket(.router, context: context)
        try router.set(.routerMandatory(true))
        for option in routerOptions { try router.set(option) }
        try router.bind(address)
        let endpoint = try router.lastEndpoint
        let dealer = try Socket(.dealer, context: context)
        try dealer.set(.routingID(Self.name))
        try dealer.set(.immediate(true))
        try dealer.set(.linger(milliseconds: 0))
        try dealer.set(.reconnectInterval(milliseconds: 1))
        try dealer.connect(endpoint)
        guard try Poller.waitUntilWritable(socket: dealer, milliseconds: timeout) else { throw NothingCame() }
        guard try dealer.send([0]) == .sent, try next(router) == [[0]] else { throw NothingCame() }
        self.context = context
        self.router = router
        self.dealer = dealer
        self.endpoint = endpoint
    }
}

/// Milliseconds after which a test gives up; never waited for in one that passes.
let timeout = 20_000

struct NothingCame: Error {}

/// The parts of the next message.
func next(_ socket: borrowing Socket, maximumParts: Int = 4) throws -> [[UInt8]] {
    let deadline = ContinuousClock.now + .milliseconds(timeout)
    while ContinuousClock.now < deadline {
        if let message = try socket.receive(maximumParts: maximumParts) {
            return (0..<min(message.partCount, maximumParts)).map { message.bytes($0) }
        }
        _ = try Poller.wait(socket: socket, milliseconds: timeout)
    }
    throw NothingCame()
}

/// Listens where another socket did: its listener ends when the I/O thread gets to it.
func bindWhenFree(_ socket: borrowing Socket, _ endpoint: String) throws {
    for _ in 0..<timeout {
        do { return try socket.bind(endpoint) } catch { usleep(1000) }
    }
    try socket.bind(endpoint)
}
