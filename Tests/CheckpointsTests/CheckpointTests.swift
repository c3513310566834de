import Foundation
import Kernels
import LanguageModel
import SeededNumbers
import TestSupport
import Testing

@testable import Checkpoints

@Suite("Checkpoints")
struct CheckpointTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test("A checkpoint is read back bit for bit", arguments: [true, false])
    func roundTrip(bias: Bool) throws {
        let shape = ModelShape(vocabulary: 5, hidden: 3, layers: 2, bias: bias)
        let written = Checkpoint.sample(step: 7, shape: shape, validationLoss: 1.0 / 3)
        written.parameters[0] = .nan
        written.parameters[1] = -0.0
        let url = folder.file("a.safetensors")
        try written.write(to: url)
        let read = try Checkpoint(contentsOf: url)
        #expect(read.shape == shape)
        #expect(read.parameters.array.bits == written.parameters.array.bits)
        #expect(read.slots.map(\.name) == ["exp_avg", "exp_avg_sq"])
        for (slot, wanted) in zip(read.slots, written.slots) {
            #expect(slot.values.array.bits == wanted.values.array.bits)
        }
        #expect(read.carry.bits == written.carry.bits && read.batch == 3)
        #expect(read.step == 7 && read.epoch == 2 && read.windowIndex == 5 && read.seed == .max && read.shards == 3)
        #expect(read.configuration == written.configuration && read.vocabulary == written.vocabulary)
        #expect(read.corpusSHA256 == written.corpusSHA256 && read.corpusCharacters == 1234)
        #expect(read.validationLoss == 1.0 / 3 && read.bestValidationLoss == 0.1 + 0.2)
        #expect(read.parametersDigest == digest(written.parameters))
        #expect(read.stateDigest == written.stateDigest)
        #expect(folder.names == ["a.safetensors"])
    }

    @Test("An optimizer without state leaves none")
    func noSlots() throws {
        let url = folder.file("a.safetensors")
        try Checkpoint.sample(slots: []).write(to: url)
        #expect(try Checkpoint(contentsOf: url).slots.isEmpty)
    }

    @Test("The file has the names, shapes and metadata that are promised, and the same bytes each time")
    func names() throws {
        let url = folder.file("a.safetensors")
        let checkpoint = Checkpoint.sample()
        try checkpoint.write(to: url)
        let header = try SafetensorsFile(url).header
        let layout = ParameterLayout(checkpoint.shape)
        for prefix in ["", "optimizer.exp_avg.", "optimizer.exp_avg_sq."] {
            for entry in layout.entries { #expect(header[prefix + entry.name]?.shape == entry.shape) }
        }
        #expect(header["carry"]?.shape == [3, 2, 2, 2])
        #expect(header.tensors.count == 3 * layout.entries.count + 1)
        #expect(header.tensors.allSatisfy { $0.type == .f32 })
        #expect(header.metadata["format"] == "pt" && header.metadata["step"] == "12")
        #expect(header.metadata["parameters_digest"] == checkpoint.parametersDigest.hexadecimal)
        #expect(header.metadata["state_digest"] == checkpoint.stateDigest.hexadecimal)
        #expect(checkpoint.stateDigest.hexadecimal.count == 16 && UInt64(1).hexadecimal == "0000000000000001")
        let bytes = try Data(contentsOf: url)
        #expect(dataStart(bytes) % 8 == 0)
        try checkpoint.write(to: url)
        #expect(try Data(contentsOf: url) == bytes)
    }

    @Test("The state digest sees every part of the state and the parameters digest the parameters alone")
    func digests() {
        let first = Checkpoint.sample()
        var (parameters, slot, carry, step) = (Checkpoint.sample(), Checkpoint.sample(), first, first)
        parameters.parameters[3] += 1
        slot.slots[1].values[0] += 1
        carry.carry[2] = -carry.carry[2]
        step.step += 1
        #expect(parameters.parametersDigest != first.parametersDigest && parameters.stateDigest != first.stateDigest)
        #expect(slot.parametersDigest == first.parametersDigest && slot.stateDigest != first.stateDigest)
        #expect(carry.parametersDigest == first.parametersDigest && carry.stateDigest != first.stateDigest)
        #expect(step.stateDigest == first.stateDigest)
    }

    @Test("Every flipped bit is found, in the header and in the data")
    func bitFlips() throws {
        let url = folder.file("a.safetensors")
        try Checkpoint.sample(shape: ModelShape(vocabulary: 2, hidden: 1, layers: 1), slots: ["exp_avg"]).write(to: url)
        let whole = try Data(contentsOf: url)
        let header = dataStart(whole)
        var random = SplitMix64(seed: 5)
        // Every bit of the length, one of each byte of the header and four of each of the data.
        var bits = Array(0..<64)
        bits += (8..<header).map { $0 * 8 + Int.random(in: 0..<8, using: &random) }
        bits += (header * 8..<whole.count * 8).filter { $0 % 2 == 0 }
        for bit in bits {
            var changed = whole
            changed[bit / 8] ^= 1 << (bit % 8)
            try changed.write(to: url)
            #expect(throws: CheckpointError.self, "bit \(bit % 8) of byte \(bit / 8)") {
                try Checkpoint(contentsOf: url)
            }
        }
        try whole.write(to: url)
        _ = try Checkpoint(contentsOf: url)
    }

    @Test("A file that was cut short is refused, wherever it was cut")
    func truncation() throws {
        let url = folder.file("a.safetensors")
        try Checkpoint.sample().write(to: url)
        let whole = try Data(contentsOf: url)
        for length in Array(0..<16) + Array(stride(from: 16, to: whole.count, by: 37)) + [whole.count - 1] {
            try whole.prefix(length).write(to: url)
            let error = #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: url) }
            #expect(error?.code == .malformed && error?.description.contains(url.path) == true)
        }
        try (whole + [0]).write(to: url)
        #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: url) }
    }

    @Test("What is no file, or no checkpoint, is refused with a reason")
    func unsuitable() throws {
        func code(_ url: URL) -> CheckpointError.Code? {
            #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: url) }?.code
        }
        #expect(code(folder.url) == .unreadable)
        #expect(code(folder.file("none")) == .unreadable)
        #expect(code(URL(fileURLWithPath: "/dev/zero")) == .unreadable)
        mkfifo(folder.file("pipe").path, 0o600)
        #expect(code(folder.file("pipe")) == .unreadable)
        let checkpoint = Checkpoint.sample()
        let model = folder.file("model.safetensors")
        try ModelFile(shape: checkpoint.shape, parameters: checkpoint.parameters, vocabulary: nil).write(to: model)
        #expect(code(model) == .unsuitable)
        let other = folder.file("other.safetensors")
        try safetensors("{\"__metadata__\":{\"checkpoint_format\":\"2\"}}").write(to: other)
        let error = #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: other) }
        #expect(error?.code == .unsuitable && error?.message.contains("upgrade") == true)
        try safetensors("{\"__metadata__\":{\"checkpoint_format\":\"1\"}}").write(to: other)
        #expect(code(other) == .unsuitable)
    }

    @Test("A sealed file whose parts contradict each other is refused: a digest says nothing of who wrote it")
    func contradictions() throws {
        let url = folder.file("a.safetensors")
        let checkpoint = Checkpoint.sample()
        try checkpoint.write(to: url)
        let whole = Array(try Data(contentsOf: url))
        func code(_ old: String, _ new: String) throws -> CheckpointError.Code? {
            let at = try #require(whole.firstRange(of: Array(old.utf8)))
            var bytes = whole
            bytes.replaceSubrange(at, with: new.utf8)
            try Data(sealed(bytes)).write(to: url)
            return #expect(throws: CheckpointError.self, "\(new)") { try Checkpoint(contentsOf: url) }?.code
        }
        let state = checkpoint.stateDigest.hexadecimal
        #expect(try code("\"state_digest\":\"\(state)", "\"state_digest\":\"\(String(state.reversed()))") == .damaged)
        #expect(try code("\"step\":\"12\"", "\"step\":\"-2\"") == .unsuitable)
        #expect(try code("]\",\"window_index\":\"5\"", "\",\"window_index\":\"-5\"") == .unsuitable)
        #expect(try code("\"shape\":[3,2,2,2]", "\"shape\":[3,4,2,1]") == .unsuitable)
        // What is left of a slot that nothing names belongs to nobody.
        #expect(try code("optimizer.exp_avg_sq.fc.bias", "optimizer.exp_avg_sq.fc.bios") == .unsuitable)
    }

    @Test("A file that becomes shorter while it is open is damaged, not waited for")
    func shortened() throws {
        let url = folder.file("a.safetensors")
        try Checkpoint.sample().write(to: url)
        let file = try SafetensorsFile(url)
        let last = try #require(file.header.tensors.last)
        try #require(truncate(url.path, off_t(try Data(contentsOf: url).count - 1)) == 0)
        #expect(throws: CheckpointError.self) { try file.bytes(of: last) }
    }

    @Test("The seal is found where it lies across two of the pieces in which a file is read")
    func longMetadata() throws {
        let url = folder.file("a.safetensors")
        let front = 8 + "{\"__metadata__\":{\"a\":\"".utf8.count + "\",\"integrity_digest\":\"".utf8.count
        let metadata = ["a": String(repeating: "x", count: (1 << 20) - front - 5)]
        try SafetensorsWriter.write([], metadata: metadata, to: url)
        let file = try SafetensorsFile(url)
        let bytes = Array(try Data(contentsOf: url))
        #expect(bytes[(1 << 20) - 6] == UInt8(ascii: "\""))
        #expect(try SafetensorsWriter.verify(file))
    }

    @Test("A digest of a stream does not depend on where it is cut, and sees every bit and the length")
    func integrityDigest() {
        var random = SplitMix64(seed: 3)
        let bytes = (0..<200).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        func whole(_ bytes: [UInt8]) -> UInt64 {
            var digest = IntegrityDigest()
            bytes.withUnsafeBytes { digest.update($0) }
            return digest.finish()
        }
        for cut in 0...200 {
            var digest = IntegrityDigest()
            for part in [Array(bytes[..<cut]), [], Array(bytes[cut...])] { part.withUnsafeBytes { digest.update($0) } }
            #expect(digest.finish() == whole(bytes))
        }
        var seen: Set<UInt64> = [whole(bytes), whole(bytes + [0]), whole(Array(bytes.dropLast())), whole([])]
        for bit in 0..<1600 {
            var changed = bytes
            changed[bit / 8] ^= 1 << (bit % 8)
            seen.insert(whole(changed))
        }
        #expect(seen.count == 1604)
    }
}
