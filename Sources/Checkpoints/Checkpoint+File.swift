package import Foundation
import Kernels
import LanguageModel

extension Checkpoint {
    /// The version of the names below; a reader refuses another.
    private static let format = "1"
    private static let slotPrefix = "optimizer."
    private static let carryName = "carry"

    private enum Key {
        static let format = "checkpoint_format"
        static let step = "step"
        static let epoch = "epoch"
        static let windowIndex = "window_index"
        static let seed = "seed"
        static let shards = "shards"
        static let configuration = "configuration"
        static let corpusSHA256 = "corpus_sha256"
        static let corpusCharacters = "corpus_characters"
        static let validationLoss = "validation_loss"
        static let bestValidationLoss = "best_validation_loss"
        static let parametersDigest = "parameters_digest"
        static let stateDigest = "state_digest"
    }

    /// Writes a safetensors file: parameters under PyTorch's names, so that it is a model file too;
    /// `optimizer.<slot>.<parameter>`; `carry`, `[B, layers, 2, H]`; all else in the metadata.
    ///
    /// - Throws: ``CheckpointError``; what stood under the name before is left as it was.
    package func write(to url: URL) throws(CheckpointError) { try write(to: url, write: AtomicFile.systemWrite) }

    func write(to url: URL, write: @escaping AtomicFile.Write) throws(CheckpointError) {
        let layout = ParameterLayout(shape)
        precondition(parameters.count == layout.count && slots.allSatisfy { $0.values.count == layout.count })
        precondition(carry.count == batch * shape.carryCount)
        func tensors(_ prefix: String, _ buffer: FloatBuffer) -> [SafetensorsWriter.Tensor] {
            layout.entries.map {
                SafetensorsWriter.Tensor(name: prefix + $0.name, shape: $0.shape, buffer: buffer, range: $0.range)
            }
        }
        var all = tensors("", parameters)
        for slot in slots { all += tensors("\(Self.slotPrefix)\(slot.name).", slot.values) }
        all.append(
            SafetensorsWriter.Tensor(
                name: Self.carryName, shape: [batch, shape.layers, 2, shape.hidden], buffer: FloatBuffer(carry),
                range: 0..<carry.count))
        var metadata = [
            "format": "pt", Key.format: Self.format, Key.step: "\(step)", Key.epoch: "\(epoch)",
            Key.windowIndex: "\(windowIndex)", Key.seed: "\(seed)", Key.shards: "\(shards)",
            Key.configuration: configuration, ModelFile.vocabularyKey: vocabulary, Key.corpusSHA256: corpusSHA256,
            Key.corpusCharacters: "\(corpusCharacters)", Key.parametersDigest: parametersDigest.hexadecimal,
            Key.stateDigest: stateDigest.hexadecimal,
        ]
        metadata[Key.validationLoss] = validationLoss.map { "\($0)" }
        metadata[Key.bestValidationLoss] = bestValidationLoss.map { "\($0)" }
        try SafetensorsWriter.write(all, metadata: metadata, to: url, write: write)
    }

    /// Reads a checkpoint and verifies it: the seal over all bytes, then the digests of what was read.
    ///
    /// - Throws: ``CheckpointError``: `unreadable`, `malformed`, `damaged`, or `unsuitable` where the file is not a
    ///   checkpoint, such as an exported model.
    package init(contentsOf url: URL) throws(CheckpointError) {
        let file = try SafetensorsFile(url)
        let fields = Fields(file: file)
        guard let format = file.header.metadata[Key.format] else {
            throw fields.unsuitable("holds a model without the state of a run: it can be sampled, not resumed")
        }
        guard format == Self.format else {
            throw fields.unsuitable("is a checkpoint of format \(format.quoted): upgrade lockstep to read it")
        }
        guard try SafetensorsWriter.verify(file) else {
            throw fields.unsuitable("is a checkpoint without the digest of its bytes, so it cannot be trusted")
        }
        let model = ModelTensors(file)
        let shape = try model.shape()
        let layout = ParameterLayout(shape)
        var names: [String] = []
        for tensor in file.header.tensors {
            guard tensor.name.hasPrefix(Self.slotPrefix), tensor.name.hasSuffix(".fc.bias") else { continue }
            names.append(String(tensor.name.dropFirst(Self.slotPrefix.count).dropLast(".fc.bias".count)))
        }
        var slots: [Slot] = []
        for name in names {
            let values = try ModelTensors(file, prefix: "\(Self.slotPrefix)\(name).").read(layout)
            slots.append(Slot(name: name, values: values))
        }
        guard let carryTensor = file.header[Self.carryName], carryTensor.shape.count == 4,
            Array(carryTensor.shape.dropFirst()) == [shape.layers, 2, shape.hidden]
        else { throw fields.unsuitable("has no carry that fits its model") }
        guard file.header.tensors.count == (1 + slots.count) * layout.entries.count + 1 else {
            throw fields.unsuitable("holds tensors that do not belong to a checkpoint")
        }
        let carry = FloatBuffer(count: carryTensor.elementCount)
        try file.read(carryTensor, into: carry, at: 0)
        self.init(
            shape: shape, parameters: try model.read(layout), slots: slots, carry: carry.array,
            step: try fields.number(Key.step), epoch: try fields.number(Key.epoch),
            windowIndex: try fields.number(Key.windowIndex), seed: try fields.number(Key.seed),
            shards: try fields.number(Key.shards), configuration: try fields.text(Key.configuration),
            vocabulary: try fields.text(ModelFile.vocabularyKey), corpusSHA256: try fields.text(Key.corpusSHA256),
            corpusCharacters: try fields.number(Key.corpusCharacters),
            validationLoss: try fields.optionalNumber(Key.validationLoss),
            bestValidationLoss: try fields.optionalNumber(Key.bestValidationLoss))
        guard windowIndex >= 0, shards >= 1, corpusCharacters >= 0 else {
            throw fields.unsuitable("states a window, a number of shards or of characters that cannot be")
        }
        guard try fields.text(Key.parametersDigest) == parametersDigest.hexadecimal,
            try fields.text(Key.stateDigest) == stateDigest.hexadecimal
        else {
            throw CheckpointError(
                .damaged, path: file.path, "is damaged: its tensors do not have the digests that it states")
        }
    }

    /// Whether a safetensors file says that it is a checkpoint, whole or not; else it may be a model file.
    ///
    /// - Throws: ``CheckpointError``: `unreadable` or `malformed`.
    package static func isOne(_ url: URL) throws(CheckpointError) -> Bool {
        try SafetensorsFile(url).header.metadata[Key.format] != nil
    }

    /// What a header says of its checkpoint, without a look at the data.
    static func validationLoss(_ header: SafetensorsHeader) -> Double? {
        header.metadata[Key.validationLoss].flatMap(Double.init)
    }

    /// The metadata of a file, with errors that name the field.
    private struct Fields {
        let file: SafetensorsFile

        func unsuitable(_ message: String) -> CheckpointError {
            CheckpointError(.unsuitable, path: file.path, message)
        }

        func text(_ key: String) throws(CheckpointError) -> String {
            guard let text = file.header.metadata[key] else { throw unsuitable("lacks \(key) in its metadata") }
            return text
        }

        func number<Number: LosslessStringConvertible>(_ key: String) throws(CheckpointError) -> Number {
            let text = try text(key)
            guard let number = Number(text) else {
                throw unsuitable("has \(text.quoted) for \(key) in its metadata, which is not such a number")
            }
            return number
        }

        func optionalNumber(_ key: String) throws(CheckpointError) -> Double? {
            file.header.metadata[key] == nil ? nil : try number(key)
        }
    }
}
