import Synchronization
import Testing

@testable import ZeroMQ

@Suite("Sockets")
struct SocketTests {
    @Test(
        "Router and dealer exchange messages over every transport",
        arguments: ["tcp://127.0.0.1:0", "ipc", "tcp://[::1]:0"])
    func exchange(_ transport: String) throws {
        let pair = try Pair(transport == "ipc" ? uniqueIPC() : transport)
        #expect(try pair.dealer.send(control: [1, 2, 3]) == .sent)
        guard let message = try next(pair.router) else { throw Missing() }
        #expect(message.routingID == workerID)
        #expect(message.partCount == 1)
        #expect(message.bytes(0) == [1, 2, 3])

        #expect(try pair.router.send(to: workerID, control: [4], bytes: [5, 6]) == .sent)
        guard let answer = try next(pair.dealer) else { throw Missing() }
        #expect(answer.routingID.isEmpty)
        #expect(answer.partCount == 2)
        #expect(answer.bytes(0) == [4])
        #expect(answer.byteCount(1) == 2)
        #expect(answer.withBytes(1) { Array($0) } == [5, 6])
    }

    @Test("Port 0 becomes a port that the system chose")
    func chosenPort() throws {
        let context = try Context()
        let router = try Socket(.router, context: context)
        try router.bind("tcp://127.0.0.1:0")
        #expect(router.lastEndpoint.hasPrefix("tcp://127.0.0.1:"))
        #expect(!router.lastEndpoint.hasSuffix(":0"))
    }

    @Test("Empty parts arrive as empty parts")
    func emptyParts() throws {
        let pair = try Pair(uniqueIPC())
        #expect(try pair.dealer.send(control: [], bytes: []) == .sent)
        #expect(try nextParts(pair.router) == [[], []])
    }

    @Test("Nothing waiting is nil at once")
    func nothing() throws {
        let pair = try Pair(uniqueIPC())
        if try pair.router.receive(maximumParts: 3) != nil { Issue.record("a message out of nowhere") }
    }

    @Test("Shared bytes arrive, and their owner is let go", arguments: [0, 100, 1 << 20])
    func sharedBytes(_ count: Int) throws {
        let released = Mailbox()
        do {
            let pair = try Pair(uniqueIPC())
            var owner: Block? = Block(count, released)
            let expected = Array(owner!.bytes)
            #expect(
                try pair.dealer.send(control: [1], shared: SharedBytes(bytes: owner!.bytes, owner: owner!)) == .sent)
            #expect(try nextParts(pair.router) == [[1], expected])
            #expect(
                try pair.router.send(
                    to: workerID, control: [2], shared: SharedBytes(bytes: owner!.bytes, owner: owner!))
                    == .sent)
            #expect(released.count == 0)
            owner = nil
            #expect(try nextParts(pair.dealer) == [[2], expected])
        }
        // The context has ended, and with it all that libzmq held.
        #expect(released.count == 1)
    }

    @Test("The owner of shared bytes that could not be sent is let go at once")
    func sharedBytesFreedOnFailure() throws {
        let released = Mailbox()
        let context = try Context()
        let router = try Socket(.router, context: context)
        try router.prepareRouter()
        try router.bind(uniqueIPC())
        do {
            let owner = Block(4096, released)
            let shared = SharedBytes(bytes: owner.bytes, owner: owner)
            #expect(try router.send(to: workerID, control: [1], shared: shared) == .unreachable)
        }
        #expect(released.count == 1)
    }

    @Test("A router cannot reach a stranger, and still reaches a friend after that")
    func unreachable() throws {
        let pair = try Pair(uniqueIPC())
        #expect(try pair.dealer.send(control: [1]) == .sent)
        #expect(try nextParts(pair.router) == [[1]])
        #expect(try pair.router.send(to: [0x57, 9], control: [8], bytes: [8]) == .unreachable)
        #expect(try pair.router.send(to: workerID, control: [9], bytes: [9]) == .sent)
        #expect(try nextParts(pair.dealer) == [[9], [9]])
    }

    @Test("A dealer with nobody there would block")
    func nobodyThere() throws {
        let context = try Context()
        let dealer = try Socket(.dealer, context: context)
        try dealer.prepareWorker(routingID: workerID)
        try dealer.connect(uniqueIPC())
        #expect(try dealer.send(control: [1], bytes: [2]) == .wouldBlock)
    }

    @Test("A full queue would block, and what arrives is whole")
    func fullQueue() throws {
        let pair = try Pair(uniqueIPC())
        let payload = [UInt8](repeating: 7, count: 1000)
        var sent = 0
        while sent < 1_000_000, try pair.dealer.send(control: [1], bytes: payload) == .sent { sent += 1 }
        #expect(sent >= 1000 && sent < 1_000_000)
        for _ in 0..<sent { try #require(try nextParts(pair.router) == [[1], payload]) }
    }

    @Test("A message of too many parts is dropped and the next one stands")
    func tooManyParts() throws {
        let pair = try Pair(uniqueIPC())
        #expect(try pair.dealer.send(control: [1], bytes: [2]) == .sent)
        #expect(try pair.dealer.send(control: [3]) == .sent)
        #expect(try nextParts(pair.router, maximumParts: 1) == [[3]])
        #expect(try pair.router.send(to: workerID, control: [1], bytes: [2]) == .sent)
        #expect(try pair.router.send(to: workerID, control: [3]) == .sent)
        #expect(try nextParts(pair.dealer, maximumParts: 1) == [[3]])
    }

    @Test("A frame beyond the limit is dropped, one at the limit arrives")
    func oversized() throws {
        let limit = Int(Socket.maximumFrameBytes)
        let pair = try Pair("tcp://127.0.0.1:0")
        #expect(try pair.dealer.send(control: [1], bytes: [UInt8](repeating: 1, count: limit)) == .sent)
        #expect(try next(pair.router)?.byteCount(1) == limit)
        #expect(try pair.dealer.send(control: [2], bytes: [UInt8](repeating: 1, count: limit + 1)) == .sent)
        // The router cuts the connection; the dealer comes back and what it says then arrives first.
        let waker = try Waker()
        var answer: [[UInt8]]?
        for _ in 0..<200 where answer == nil {
            _ = try pair.dealer.send(control: [3])
            _ = try Poller.wait(socket: pair.router, waker: waker, milliseconds: 50)
            if let message = try pair.router.receive(maximumParts: 3) { answer = [message.bytes(0)] }
        }
        #expect(answer == [[3]])
    }
}

@Suite("Polling")
struct PollerTests {
    @Test("A waker from another thread ends the wait; reset puts it to sleep")
    func waker() async throws {
        let pair = try Pair(uniqueIPC())
        let waker = try Waker()
        #expect(try !Poller.wait(socket: pair.router, waker: waker, milliseconds: 0))
        Task.detached { waker.wake() }
        #expect(try Poller.wait(socket: pair.router, waker: waker, milliseconds: 10_000))
        for _ in 0..<100_000 { waker.wake() }
        #expect(try Poller.wait(socket: pair.router, waker: waker, milliseconds: 0))
        waker.reset()
        #expect(try !Poller.wait(socket: pair.router, waker: waker, milliseconds: 0))
    }

    @Test("A message ends the wait")
    func message() throws {
        let pair = try Pair(uniqueIPC())
        #expect(try pair.dealer.send(control: [1]) == .sent)
        #expect(try Poller.wait(socket: pair.router, waker: Waker(), milliseconds: 10_000))
    }

    @Test("A dealer with nobody there is not writable")
    func notWritable() throws {
        let context = try Context()
        let dealer = try Socket(.dealer, context: context)
        try dealer.prepareWorker(routingID: workerID)
        try dealer.connect(uniqueIPC())
        #expect(try !Poller.waitWritable(socket: dealer, milliseconds: 0))
    }
}

struct Missing: Error {}

/// Counts from any thread.
final class Mailbox: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add() { value.withLock { $0 += 1 } }
}

/// Bytes that tell when they are let go.
final class Block {
    let bytes: UnsafeRawBufferPointer
    private let released: Mailbox

    init(_ count: Int, _ released: Mailbox) {
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        for index in 0..<count { storage[index] = UInt8(truncatingIfNeeded: index) }
        bytes = UnsafeRawBufferPointer(storage)
        self.released = released
    }

    deinit {
        bytes.deallocate()
        released.add()
    }
}
