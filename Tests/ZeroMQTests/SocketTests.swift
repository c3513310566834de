import Foundation
import Testing

@testable import ZeroMQ

@Suite("Socket") struct SocketTests {
    @Test(
        "Router and dealer talk both ways",
        arguments: ["ipc", "tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0"])
    func talk(_ address: String) throws {
        let link = try Link(address == "ipc" ? ipcEndpoint() : address)
        #expect(try link.dealer.send([1, 2], [], [3]) == .sent)
        #expect(try next(link.router) == [[1, 2], [], [3]])
        #expect(try link.router.send(Link.name, [4], [5, 6]) == .sent)
        #expect(try next(link.dealer) == [[4], [5, 6]])
    }

    @Test("A router names the sender, a dealer does not")
    func routingID() throws {
        let link = try Link()
        #expect(try link.dealer.send([1]) == .sent)
        _ = try Poller.wait(socket: link.router, milliseconds: timeout)
        guard let message = try link.router.receive(maximumParts: 1) else { throw NothingCame() }
        #expect(message.routingID == Link.name)
        #expect(message.partCount == 1)
        #expect(message.byteCount(0) == 1)
        #expect(try link.router.send(Link.name, [1]) == .sent)
        _ = try Poller.wait(socket: link.dealer, milliseconds: timeout)
        guard let answer = try link.dealer.receive(maximumParts: 1) else { throw NothingCame() }
        #expect(answer.routingID.isEmpty)
    }

    @Test("Port 0 becomes a port that the last endpoint tells")
    func chosenPort() throws {
        let link = try Link("tcp://127.0.0.1:0")
        guard case .tcp(let host, let port) = try Endpoint(link.endpoint).transport else { throw NothingCame() }
        #expect(host == "127.0.0.1")
        #expect(port != 0)
    }

    @Test("Nothing to receive is nil, not a wait")
    func nothing() throws {
        let link = try Link()
        let isEmpty = if let message = try link.router.receive(maximumParts: 1) { message.partCount < 0 } else { true }
        #expect(isEmpty)
    }

    @Test("A router cannot reach a routing id that it does not know")
    func stranger() throws {
        let link = try Link()
        #expect(try link.router.send([9, 9], [1]) == .unreachable)
        #expect(try link.router.send(Link.name, [2]) == .sent)
        #expect(try next(link.dealer) == [[2]])
    }

    @Test("A router cannot reach a peer that has gone")
    func gone() throws {
        let context = try Context()
        let router = try Socket(.router, context: context)
        try router.set(.routerMandatory(true))
        let address = ipcEndpoint()
        try router.bind(address)
        do {
            let dealer = try Socket(.dealer, context: context)
            try dealer.set(.routingID([7]))
            try dealer.connect(address)
            #expect(try dealer.send([1]) == .sent)
            #expect(try next(router) == [[1]])
        }
        // Until the I/O thread has seen the end, messages go into a queue that will be dropped.
        var outcome = SendOutcome.sent
        for _ in 0..<timeout where outcome != .unreachable {
            outcome = try router.send([7], [1], [2])
            usleep(1000)
        }
        #expect(outcome == .unreachable)
    }

    @Test("A dealer that is not connected would block")
    func unconnected() throws {
        let context = try Context()
        let dealer = try Socket(.dealer, context: context)
        try dealer.set(.immediate(true))
        try dealer.connect(ipcEndpoint())
        #expect(try dealer.send([1], [2]) == .wouldBlock)
        #expect(try !Poller.waitUntilWritable(socket: dealer, milliseconds: 0))
    }

    @Test("A full queue would block, and every message that was taken arrives whole")
    func highWaterMark() throws {
        let link = try Link(router: [.sendHighWaterMark(3)])
        let payload = [UInt8](repeating: 7, count: 256 << 10)
        var sent = 0
        while try link.router.send(Link.name, [1], payload) == .sent { sent += 1 }
        #expect(sent >= 3)
        for _ in 0..<sent { #expect(try next(link.dealer) == [[1], payload]) }
    }

    @Test("A frame above the maximum size never arrives, and its sender is disconnected")
    func oversized() throws {
        let link = try Link(router: [.maximumMessageSize(1000)])
        #expect(try link.dealer.send([UInt8](repeating: 1, count: 1000)) == .sent)
        #expect(try next(link.router) == [[UInt8](repeating: 1, count: 1000)])
        #expect(try link.dealer.send([UInt8](repeating: 1, count: 1001)) == .sent)
        // The dealer comes back by itself; what it says until then may be lost.
        for _ in 0..<timeout {
            _ = try link.dealer.send([2])
            if try Poller.wait(socket: link.router, milliseconds: 1).socket { break }
        }
        #expect(try next(link.router) == [[2]])
    }

    @Test("Parts beyond the bound are dropped and told, and the next message is whole")
    func excess() throws {
        let link = try Link()
        #expect(try link.dealer.send([1], [2], [3], [4]) == .sent)
        #expect(try link.dealer.send([5]) == .sent)
        _ = try Poller.wait(socket: link.router, milliseconds: timeout)
        guard let message = try link.router.receive(maximumParts: 2) else { throw NothingCame() }
        #expect(message.partCount == 4)
        #expect(message.bytes(1) == [2])
        #expect(try next(link.router) == [[5]])
    }

    @Test("A dealer with a lost connection sends the next message whole")
    func reconnect() throws {
        let context = try Context()
        let address = ipcEndpoint()
        let dealer = try Socket(.dealer, context: context)
        try dealer.set(.immediate(true))
        try dealer.set(.linger(milliseconds: 0))
        try dealer.set(.reconnectInterval(milliseconds: 1))
        try dealer.connect(address)
        for round in UInt8(0)..<3 {
            let router = try Socket(.router, context: context)
            try bindWhenFree(router, address)
            while try dealer.send([round], [round], [round]) != .sent {
                _ = try Poller.waitUntilWritable(socket: dealer, milliseconds: timeout)
            }
            // What was taken for the connection before may be lost with it, so it is said again.
            while try !Poller.wait(socket: router, milliseconds: 20).socket {
                _ = try dealer.send([round], [round], [round])
            }
            #expect(try next(router) == [[round], [round], [round]])
        }
    }

    @Test("Pair sockets talk to each other")
    func pair() throws {
        let context = try Context()
        let address = ipcEndpoint()
        let one = try Socket(.pair, context: context)
        try one.bind(address)
        let other = try Socket(.pair, context: context)
        try other.connect(address)
        #expect(try other.send([1], [2]) == .sent)
        #expect(try next(one) == [[1], [2]])
    }

    @Test("An option out of its bounds is named")
    func badOption() throws {
        let socket = try Socket(.router, context: Context())
        let error = #expect(throws: ZeroMQError.self) { try socket.set(.routingID([])) }
        #expect(error?.description == "cannot set the socket option routing id: Invalid argument")
    }

    @Test("More sockets than libzmq's default of 1,023 fit into a context")
    func manySockets() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let context = try Context()
        let holders = try (0..<1100).map { _ in try Holder(context) }
        #expect(holders.count == 1100)
    }

    private final class Holder {
        let socket: Socket
        init(_ context: Context) throws(ZeroMQError) { socket = try Socket(.pair, context: context) }
    }

    @Test("A use from another thread stops the process")
    func otherThread() async {
        await #expect(processExitsWith: .failure) {
            let holder = try Holder(Context())
            nonisolated(unsafe) let socketHolder = holder
            let done = DispatchSemaphore(value: 0)
            Thread {
                _ = try? socketHolder.socket.send([1])
                done.signal()
            }.start()
            done.wait()
        }
    }
}
