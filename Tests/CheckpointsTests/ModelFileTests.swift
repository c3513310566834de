import Foundation
import Kernels
import LanguageModel
import Testing

@testable import Checkpoints

@Suite("Model files")
struct ModelFileTests {
    private let folder: TemporaryFolder
    private let url: URL

    init() throws {
        folder = try TemporaryFolder()
        url = folder.file("model.safetensors")
    }

    @Test("An exported model is read back with its vocabulary", arguments: [true, false])
    func roundTrip(bias: Bool) throws {
        let checkpoint = Checkpoint.sample(shape: ModelShape(vocabulary: 4, hidden: 3, layers: 1, bias: bias))
        let model = ModelFile(
            shape: checkpoint.shape, parameters: checkpoint.parameters, vocabulary: checkpoint.vocabulary)
        try model.write(to: url)
        let read = try ModelFile.read(url)
        #expect(read.shape == model.shape && read.vocabulary == model.vocabulary)
        #expect(read.parameters.array.bits == model.parameters.array.bits)
        let header = try SafetensorsFile(url).header
        #expect(header.tensors.map(\.name) == ParameterLayout(model.shape).entries.map(\.name))
        #expect(header.metadata["format"] == "pt")
    }

    @Test("A checkpoint is a model file too")
    func checkpoint() throws {
        let checkpoint = Checkpoint.sample()
        try checkpoint.write(to: url)
        let model = try ModelFile.read(url)
        #expect(model.shape == checkpoint.shape && model.vocabulary == checkpoint.vocabulary)
        #expect(model.parameters.array.bits == checkpoint.parameters.array.bits)
    }

    @Test("A changed bit is found")
    func damaged() throws {
        let checkpoint = Checkpoint.sample()
        try ModelFile(shape: checkpoint.shape, parameters: checkpoint.parameters, vocabulary: "[]").write(to: url)
        var bytes = try Data(contentsOf: url)
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: url)
        let error = #expect(throws: CheckpointError.self) { try ModelFile.read(url) }
        #expect(error?.code == .damaged)
    }

    /// A model of `V` 1, `H` 1 and one layer without biases, as another program might write it.
    private func foreign(
        type: String, numbers: [[UInt8]], extra: String? = nil, inputShape: String = "[4,1]"
    ) throws {
        let names = [
            ("lstm.weight_ih_l0", inputShape, 4), ("lstm.weight_hh_l0", "[4,1]", 4), ("fc.weight", "[1,1]", 1),
            ("fc.bias", "[1]", 1),
        ]
        var fields: [String] = []
        var offset = 0
        for (name, shape, count) in names + (extra.map { [($0, "[1]", 1)] } ?? []) {
            let end = offset + count * numbers[0].count
            fields.append("\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(offset),\(end)]}")
            offset = end
        }
        let data = (0..<offset / numbers[0].count).flatMap { numbers[$0 % numbers.count] }
        try safetensors("{\(fields.joined(separator: ","))}", data: data).write(to: url)
    }

    @Test("Models of other floating-point types are widened or rounded")
    func types() throws {
        try foreign(type: "F16", numbers: [[0, 0x3c], [0, 0xc1], [1, 0], [0xff, 0x7b], [0, 0xfc], [0, 0x80]])
        let half = try ModelFile.read(url)
        #expect(half.shape == ModelShape(vocabulary: 1, hidden: 1, layers: 1, bias: false) && half.vocabulary == nil)
        #expect(half.parameters.array.prefix(6).map { $0 } == [1, -2.5, 0x1p-24, 65504, -.infinity, -0.0])
        try foreign(type: "BF16", numbers: [[0x80, 0x3f], [0x20, 0xc0]])
        #expect(try ModelFile.read(url).parameters.array.prefix(2).map { $0 } == [1, -2.5])
        let third = (0..<8).map { UInt8(truncatingIfNeeded: (1.0 / 3).bitPattern >> (8 * UInt64($0))) }
        try foreign(type: "F64", numbers: [third])
        #expect(try ModelFile.read(url).parameters.array.allSatisfy { $0 == Float(1.0 / 3) })
    }

    @Test("A model whose names have something in front is read by that prefix, with or without the dot")
    func prefixed() throws {
        let one: [[UInt8]] = [[0, 0, 0x80, 0x3f]]
        let names = ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "fc.weight", "fc.bias"]
        let shapes = ["[4,1]", "[4,1]", "[1,1]", "[1]"]
        let counts = [4, 4, 1, 1]
        var fields: [String] = []
        var offset = 0
        for (name, (shape, count)) in zip(names, zip(shapes, counts)) {
            let end = offset + count * 4
            fields.append(
                "\"a.b.\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(offset),\(end)]}")
            offset = end
        }
        try safetensors("{\(fields.joined(separator: ","))}", data: (0..<10).flatMap { _ in one[0] }).write(to: url)
        #expect(try ModelFile.read(url, prefix: "a.b.").parameters.count == 10)
        #expect(try ModelFile.read(url, prefix: "a.b").parameters.array.allSatisfy { $0 == 1 })
        let error = #expect(throws: CheckpointError.self) { try ModelFile.read(url) }
        #expect(error?.message.contains("--prefix") == true && error?.message.contains("a.b.") == true)
        #expect(throws: CheckpointError.self) { try ModelFile.read(url, prefix: "other.") }
    }

    @Test("Under other tokens every weight of a character stands at its new token")
    func reordered() throws {
        let shape = ModelShape(vocabulary: 3, hidden: 2, layers: 1)
        let layout = ParameterLayout(shape)
        let parameters = FloatBuffer((0..<layout.count).map(Float.init))
        let model = ModelFile(shape: shape, parameters: parameters, vocabulary: nil)
        let places = [2, 0, 1]
        let other = model.reordered(places)
        func element(_ model: ModelFile, _ name: String, _ index: Int) -> Float {
            model.parameters.array[layout[name]!.range.lowerBound + index]
        }
        for (token, place) in places.enumerated() {
            for unit in 0..<8 {
                let (new, old) = (unit * 3 + token, unit * 3 + place)
                #expect(element(other, "lstm.weight_ih_l0", new) == element(model, "lstm.weight_ih_l0", old))
            }
            for unit in 0..<2 {
                let (new, old) = (token * 2 + unit, place * 2 + unit)
                #expect(element(other, "fc.weight", new) == element(model, "fc.weight", old))
            }
            #expect(element(other, "fc.bias", token) == element(model, "fc.bias", place))
        }
        for name in ["lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0"] {
            let range = layout[name]!.range
            #expect(other.parameters.array[range] == model.parameters.array[range])
        }
        #expect(other.reordered([1, 2, 0]).parameters.array == parameters.array)
    }

    @Test("What is no plain LSTM model is refused with a reason")
    func unsuitable() throws {
        func message() -> String? {
            let error = #expect(throws: CheckpointError.self) { try ModelFile.read(url) }
            #expect(error?.code == .unsuitable)
            return error?.message
        }
        let one: [[UInt8]] = [[0, 0, 0x80, 0x3f]]
        try foreign(type: "I32", numbers: one)
        #expect(message()?.contains("I32") == true)
        try foreign(type: "F32", numbers: one, extra: "lstm.weight_ih_l0_reverse")
        #expect(message()?.contains("lstm.weight_ih_l0_reverse") == true)
        try foreign(type: "F32", numbers: one, inputShape: "[2,2]")
        #expect(message()?.contains("[4, 1]") == true)
        try foreign(type: "F32", numbers: one, extra: "lstm.bias_ih_l0")
        #expect(message() != nil)
        try safetensors("{}").write(to: url)
        #expect(message()?.contains("fc.weight") == true)
        try foreign(type: "F32", numbers: one, extra: "embedding")
        _ = try ModelFile.read(url)
    }
}
