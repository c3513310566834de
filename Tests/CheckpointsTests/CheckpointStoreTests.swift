import Foundation
import LanguageModel
import Testing

@testable import Checkpoints

@Suite("The checkpoint store")
struct CheckpointStoreTests {
    private let folder: TemporaryFolder
    private let store: CheckpointStore

    init() throws {
        folder = try TemporaryFolder()
        store = CheckpointStore(folder: folder.file("checkpoints"))
    }

    private var steps: [UInt64] { store.list().map(\.step) }

    /// Warnings of a search that must not come to pass.
    private func unexpected(_ message: String) { Issue.record("\(message)") }

    @Test("Names hold the step in eight digits or more")
    func names() throws {
        #expect(store.url(step: 500).lastPathComponent == "step-00000500.safetensors")
        #expect(store.url(step: 12_345_678_901).lastPathComponent == "step-12345678901.safetensors")
        #expect(store.list().isEmpty && store.newestVerified(warn: unexpected) == nil)
        for step: UInt64 in [3, 123_456_789, 99_999_999, 20] { try store.write(.sample(step: step), keep: 9) }
        for name in ["step-7.safetensors", "step-0000000x.safetensors", "other", "step-00000007.safetensors.bak"] {
            try Data().write(to: store.folder.appendingPathComponent(name))
        }
        #expect(steps == [3, 20, 99_999_999, 123_456_789])
    }

    @Test("The newest are kept, and the best by validation loss")
    func retention() throws {
        let losses: [UInt64: Double] = [10: 3, 20: 1.5, 30: 2, 40: 1.5, 50: .nan]
        for step: UInt64 in [10, 20, 30, 40, 50, 60] {
            try store.write(.sample(step: step, validationLoss: losses[step]), keep: 2)
        }
        #expect(steps == [20, 50, 60])
        #expect(store.bestVerified(warn: unexpected)?.checkpoint.step == 20)
        #expect(store.newestVerified(warn: unexpected)?.checkpoint.step == 60)
        try store.write(.sample(step: 70, validationLoss: 1), keep: 1)
        #expect(steps == [70])
    }

    @Test("What was just written is kept, even below others")
    func justWritten() throws {
        for step: UInt64 in [50, 60] { try store.write(.sample(step: step), keep: 2) }
        try store.write(.sample(step: 10), keep: 2)
        #expect(steps == [10, 50, 60])
    }

    @Test("A damaged checkpoint is skipped with a warning that names it and the reason")
    func damaged() throws {
        for step: UInt64 in [1, 2, 3] {
            try store.write(.sample(step: step, validationLoss: Double(9 - step)), keep: 5)
        }
        var bytes = try Data(contentsOf: store.url(step: 3))
        bytes[bytes.count - 2] ^= 4
        try bytes.write(to: store.url(step: 3))
        try Data(contentsOf: store.url(step: 2)).prefix(100).write(to: store.url(step: 2))
        var warnings: [String] = []
        let found = try #require(store.newestVerified { warnings.append($0) })
        #expect(found.checkpoint.step == 1 && found.url == store.url(step: 1))
        #expect(warnings.count == 2 && warnings.allSatisfy { !$0.contains("\n") })
        #expect(
            warnings.first?.contains(store.url(step: 3).path) == true && warnings.first?.contains("damaged") == true)
        #expect(
            warnings.last?.contains(store.url(step: 2).path) == true && warnings.last?.contains("cut short") == true)
        warnings = []
        #expect(store.bestVerified { warnings.append($0) }?.checkpoint.step == 1)
        #expect(warnings.count == 1)
        // It neither counts among those that are kept nor is deleted.
        try store.write(.sample(step: 4), keep: 3)
        #expect(steps == [1, 2, 3, 4])
    }

    @Test("A full disk is an error that says so, and leaves all as it was")
    func fullDisk() throws {
        try store.write(.sample(step: 1), keep: 3)
        let before = try Data(contentsOf: store.url(step: 1))
        let left = Countdown(from: 3000)
        let full = CheckpointStore(folder: store.folder) { file, bytes, count in
            guard let room = left.take(count) else {
                errno = ENOSPC
                return -1
            }
            return AtomicFile.systemWrite(file, bytes, room)
        }
        for (step, keep) in [(1, 1), (2, 3)] as [(UInt64, Int)] {
            let error = #expect(throws: CheckpointError.self) { try full.write(.sample(step: step), keep: keep) }
            #expect(error?.code == .diskFull && error?.path == store.url(step: step).path)
            // Of no use where one is kept, or to what writes no checkpoints.
            #expect(error?.message.contains("--keep") == (keep > 1))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.folder.path) == ["step-00000001.safetensors"])
        #expect(try Data(contentsOf: store.url(step: 1)) == before)
    }

    @Test("A write that the system takes in pieces is whole")
    func shortWrites() throws {
        let slow = CheckpointStore(folder: store.folder) { AtomicFile.systemWrite($0, $1, min($2, 100)) }
        let checkpoint = Checkpoint.sample(step: 4)
        try slow.write(checkpoint, keep: 1)
        #expect(try Checkpoint(contentsOf: store.url(step: 4)).stateDigest == checkpoint.stateDigest)
    }

    @Test("A write that a signal interrupts goes on, and one that takes nothing is a full disk")
    func oddWrites() throws {
        let first = Countdown(from: 1)
        let interrupted = CheckpointStore(folder: store.folder) { file, bytes, count in
            guard first.take(1) == nil else {
                errno = EINTR
                return -1
            }
            return AtomicFile.systemWrite(file, bytes, count)
        }
        try interrupted.write(.sample(step: 4), keep: 2)
        #expect(store.newestVerified(warn: unexpected)?.checkpoint.step == 4)
        let idle = CheckpointStore(folder: store.folder) { _, _, _ in 0 }
        let error = #expect(throws: CheckpointError.self) { try idle.write(.sample(step: 5), keep: 2) }
        #expect(error?.code == .diskFull && steps == [4])
    }

    @Test("A folder that cannot be made or written is a typed error")
    func unwritable() throws {
        try Data().write(to: folder.file("file"))
        let below = CheckpointStore(folder: folder.file("file").appendingPathComponent("checkpoints"))
        let error = #expect(throws: CheckpointError.self) { try below.write(.sample(), keep: 1) }
        #expect(error?.code == .unwritable && error?.message == "cannot be made: Not a directory")
        let system = CheckpointStore(folder: URL(fileURLWithPath: "/proc/self"))
        #expect(throws: CheckpointError.self) { try system.write(.sample(), keep: 1) }
        try FileManager.default.createDirectory(at: store.url(step: 12), withIntermediateDirectories: true)
        let taken = #expect(throws: CheckpointError.self) { try store.write(.sample(step: 12), keep: 1) }
        #expect(taken?.code == .unwritable)
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.folder.path).count == 1)
    }

    @Test("What a crash left behind is cleaned by the next write, and by no reader")
    func leftovers() throws {
        try store.write(.sample(step: 1), keep: 2)
        let leftover = store.folder.appendingPathComponent("step-00000002.safetensors.0123456789abcdef.partial")
        try Data([1, 2, 3]).write(to: leftover)
        #expect(store.newestVerified(warn: unexpected)?.checkpoint.step == 1)
        #expect(FileManager.default.fileExists(atPath: leftover.path))
        try store.write(.sample(step: 2), keep: 2)
        #expect(!FileManager.default.fileExists(atPath: leftover.path))
        #expect(steps == [1, 2])
    }
}
