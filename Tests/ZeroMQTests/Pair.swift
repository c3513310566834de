import Testing

@testable import ZeroMQ

/// A routing id as a worker would choose it.
let workerID: [UInt8] = [0x57, 0, 1, 2, 3, 4, 5, 6, 7]

/// An ipc endpoint of its own.
func uniqueIPC() -> String { "ipc:///tmp/zeromq-test-\(UInt64.random(in: 0...UInt64.max)).sock" }

/// A bound router and a dealer that is connected to it.
struct Pair: ~Copyable {
    let context: Context
    let router: Socket
    let dealer: Socket

    init(_ endpoint: String) throws {
        context = try Context()
        router = try Socket(.router, context: context)
        try router.prepareRouter()
        try router.bind(endpoint)
        dealer = try Socket(.dealer, context: context)
        try dealer.prepareWorker(routingID: workerID)
        try dealer.connect(router.lastEndpoint)
        try #require(try Poller.waitWritable(socket: dealer, milliseconds: 10_000))
    }
}

/// The next message, waited for.
func next(_ socket: borrowing Socket, maximumParts: Int = 3) throws -> ReceivedMessage? {
    let waker = try Waker()
    // The poller also tells of messages that are then dropped, and of signals.
    for _ in 0..<10 {
        _ = try Poller.wait(socket: socket, waker: waker, milliseconds: 1000)
        if let message = try socket.receive(maximumParts: maximumParts) { return message }
    }
    return nil
}

/// The parts of the next message, or nil if none comes.
func nextParts(_ socket: borrowing Socket, maximumParts: Int = 3) throws -> [[UInt8]]? {
    guard let message = try next(socket, maximumParts: maximumParts) else { return nil }
    return (0..<message.partCount).map { message.bytes($0) }
}
