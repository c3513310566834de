import Synchronization
import Testing

@testable import ZeroMQ

@Suite("Frame") struct FrameTests {
    /// Memory that tells when it is let go of.
    private final class Block {
        let bytes: UnsafeRawBufferPointer
        private let releases: Releases

        init(_ values: [UInt8], _ releases: Releases) {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: values.count, alignment: 64)
            memory.copyBytes(from: values)
            bytes = UnsafeRawBufferPointer(memory)
            self.releases = releases
        }

        deinit {
            bytes.deallocate()
            releases.count.withLock { $0 += 1 }
        }
    }

    private final class Releases: Sendable {
        let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
    }

    /// 0 and 33 bytes are on both sides of what libzmq keeps inside a message.
    @Test("Memory sent without a copy arrives, and is let go of after it has left", arguments: [0, 33, 256 << 10])
    func zeroCopy(_ count: Int) throws {
        let releases = Releases()
        let values = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        do {
            let link = try Link()
            var block: Block? = Block(values, releases)
            #expect(
                try link.router.send([Link.name, [1]], payload: Frame(reading: block!.bytes, keeping: block!)) == .sent)
            #expect(releases.value == 0)
            block = nil
            #expect(try next(link.dealer) == [[1], values])
        }
        // The context is gone, and with it all that it held.
        #expect(releases.value == 1)
    }

    @Test("The payload of a message that was not sent is let go of at once")
    func notSent() throws {
        let releases = Releases()
        let link = try Link()
        do {
            let block = Block([1, 2, 3], releases)
            #expect(
                try link.router.send([[9, 9], [1]], payload: Frame(reading: block.bytes, keeping: block))
                    == .unreachable)
        }
        #expect(releases.value == 1)
    }

    @Test("A frame reads its bytes in place")
    func inPlace() throws {
        let block = Block([4, 5, 6], Releases())
        let frame = try Frame(reading: block.bytes, keeping: block)
        #expect(frame.byteCount == 3)
        #expect(frame.withBytes { $0.baseAddress } == block.bytes.baseAddress)
    }

    @Test("A copied frame has its own memory", arguments: [0, 33, 1000])
    func copied(_ count: Int) throws {
        var values = [UInt8](repeating: 8, count: count)
        let frame = try Frame(values)
        for index in values.indices { values[index] = 0 }
        #expect(frame.withBytes { Array($0) } == [UInt8](repeating: 8, count: count))
    }
}
