import CSystem
import Coordination
import Foundation
import Glibc
import Kernels
import Testing
import ZeroMQ

@testable import Training

@Suite("Shared memory")
struct SharedMemoryTests {
    @Test("What one writes another reads where it lies, as long as either holds it")
    func shared() throws {
        let count = 3000
        var own: FloatBuffer? = try FloatBuffer(sharing: count)
        let opened = try FloatBuffer(opening: try #require(own?.place), count: count)
        #expect(opened.array == Array(repeating: 0, count: count))
        own![count - 1] = 7
        #expect(opened[count - 1] == 7 && opened.base != own!.base)
        own = nil
        #expect(opened[count - 1] == 7)
    }

    @Test("Nothing is opened but the memory that was meant, of its size")
    func refused() throws {
        let memory = try SharedMemory(byteCount: 4096)
        let place = memory.place
        func opens(_ change: (inout SharedPlace) -> Void, byteCount: Int = 4096) -> Bool {
            var changed = place
            change(&changed)
            return (try? SharedMemory(opening: changed, byteCount: byteCount)) != nil
        }
        #expect(opens { _ in })
        #expect(!opens { $0.tag ^= 1 })
        #expect(!opens({ _ in }, byteCount: 4097))
        #expect(!opens { $0.process = UInt32(Int32.max) })
        #expect(!opens { $0.descriptor = UInt32(Int32.max) })
        // Standard input, whatever it is.
        #expect(!opens { $0.descriptor = 0 })
        var gone: SharedMemory? = try SharedMemory(byteCount: 4096)
        let wasThere = gone!.place
        gone = nil
        #expect((try? SharedMemory(opening: wasThere, byteCount: 4096)) == nil)
    }

    @Test("A file that could be cut short is no shared memory")
    func file() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        defer {
            close(descriptor)
            unlink(path)
        }
        #expect(descriptor >= 0 && lockstep_is_shared_memory(descriptor) == 0)
        let memory = lockstep_shared_memory("test", 4096)
        defer { close(memory) }
        #expect(lockstep_is_shared_memory(memory) != 0)
        #expect(ftruncate(memory, 0) != 0)
        // Of the right name and size, and neither is final.
        typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
        let create = unsafeBitCast(
            try #require(dlsym(dlopen(nil, RTLD_NOW), "memfd_create")), to: Create.self)
        let loose = create("lockstep-5", 0)
        defer { close(loose) }
        #expect(ftruncate(loose, 4096) == 0)
        let place = SharedPlace(process: UInt32(getpid()), descriptor: UInt32(loose), tag: 5)
        #expect(throws: SharedMemoryError.self) { try SharedMemory(opening: place, byteCount: 4096) }
    }

    @Test("Each place is opened once, and again where many others came between")
    func opened() throws {
        let buffers = try (0..<40).map { index in
            let buffer = try FloatBuffer(sharing: 1)
            buffer[0] = Float(index)
            return buffer
        }
        var memory = OpenedMemory(limit: 32)
        #expect(memory.isEmpty)
        let first = try memory.buffer(at: buffers[0].place!, count: 1)
        let second = try memory.buffer(at: buffers[1].place!, count: 1)
        #expect(!memory.isEmpty)
        #expect(try memory.buffer(at: buffers[0].place!, count: 1) === first)
        #expect(try memory.buffer(at: buffers[1].place!, count: 1) === second)
        for _ in 0..<2 {
            for (index, buffer) in buffers.enumerated() {
                #expect(try memory.buffer(at: buffer.place!, count: 1)[0] == Float(index))
            }
        }
        #expect(try memory.buffer(at: buffers[0].place!, count: 1) !== first)
    }

    @Test("An average of which one reader is gone can be opened until all others have applied it")
    func abandoned() throws {
        var lent = LentAverages<FloatBuffer>()
        var buffer: FloatBuffer? = try FloatBuffer(sharing: 1)
        let place = try #require(buffer?.place)
        for worker in WorkerID(1)...3 { _ = lent.lend(buffer!, at: place, step: 0, to: worker) }
        var held: [WorkerID: UInt64] = [1: 1, 2: 0]
        let given = lent.settle { held[$0] }.map(ObjectIdentifier.init)
        #expect(given == [ObjectIdentifier(buffer!)])
        buffer = nil
        #expect(throws: Never.self) { try FloatBuffer(opening: place, count: 1) }
        held[2] = 1
        let givenAgain = lent.settle { held[$0] }
        #expect(givenAgain.isEmpty)
        #expect(throws: SharedMemoryError.self) { try FloatBuffer(opening: place, count: 1) }
    }

    @Test("Who has not applied several averages is lent no more of them, and of each all or nothing")
    func lagging() throws {
        var lent = LentAverages<FloatBuffer>()
        let buffers = try (0..<6).map { _ in try FloatBuffer(sharing: 1) }
        var held: [WorkerID: UInt64] = [1: 0, 2: 0]
        func lends(_ step: Int, to worker: WorkerID) -> Bool {
            _ = lent.settle { held[$0] }
            return lent.lend(
                buffers[step % 6], at: buffers[step % 6].place!, step: UInt64(step), to: worker)
        }
        for step in 0..<6 {
            held[2] = UInt64(step)
            for _ in 0..<2 { #expect([lends(step, to: 1), lends(step, to: 2)] == [step < 4, true]) }
        }
        held[1] = 1
        #expect(lends(6, to: 1))
    }

    @Test("A worker that has opened averages before goes on sharing where one is gone; one that opened none does not")
    func rejoining() throws {
        for hasOpened in [true, false] {
            let loop = try WorkerLoop(
                options: .init(
                    access: WorkerAccess(endpoint: "ipc:///nowhere", keys: nil), name: "w", threads: 1, retryFor: 1,
                    faults: .none, software: ""),
                context: Context(), say: { _ in }, isInterrupted: { false })
            loop.sharedMemory = OpenedMemory(limit: 4)
            let buffer = try FloatBuffer(sharing: 1)
            if hasOpened { _ = try loop.sharedMemory!.buffer(at: buffer.place!, count: 1) }
            #expect(loop.memoryProbe != nil)
            loop.cannotOpen(SharedMemoryError("is gone"))
            #expect((loop.memoryProbe != nil) == hasOpened)
            guard case .rejoin("the coordinator's memory is gone") = loop.verdict else {
                Issue.record("it does not join anew")
                continue
            }
        }
    }
}
