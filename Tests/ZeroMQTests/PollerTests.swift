import Foundation
import Testing

@testable import ZeroMQ

@Suite("Poller") struct PollerTests {
    @Test("A waker set by another thread ends the wait, until it is reset")
    func waker() throws {
        let link = try Link()
        let waker = try Waker()
        #expect(try Poller.wait(socket: link.router, waker: waker, milliseconds: 0) == Poller.Readiness())
        Thread { waker.wake() }.start()
        #expect(try Poller.wait(socket: link.router, waker: waker, milliseconds: timeout).waker)
        waker.wake()
        #expect(try Poller.wait(socket: link.router, waker: waker, milliseconds: nil).waker)
        waker.reset()
        #expect(try Poller.wait(socket: link.router, waker: waker, milliseconds: 0) == Poller.Readiness())
    }

    @Test("A message ends the wait")
    func message() throws {
        let link = try Link()
        #expect(try link.dealer.send([1]) == .sent)
        let readiness = try Poller.wait(socket: link.router, waker: Waker(), milliseconds: timeout)
        #expect(readiness == Poller.Readiness(socket: true))
    }

    @Test("A signal does not end the wait")
    func interrupted() throws {
        let link = try Link()
        let waker = try Waker()
        signal(SIGUSR2) { _ in }
        let waiting = pthread_self()
        Thread {
            for _ in 0..<20 {
                pthread_kill(waiting, SIGUSR2)
                usleep(1000)
            }
            waker.wake()
        }.start()
        #expect(try Poller.wait(socket: link.router, waker: waker, milliseconds: timeout).waker)
    }
}
