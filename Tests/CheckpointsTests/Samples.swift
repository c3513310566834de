import Foundation
import Kernels
import LanguageModel
import SeededNumbers

@testable import Checkpoints

extension Checkpoint {
    /// A small checkpoint whose numbers depend on `step`.
    static func sample(
        step: UInt64 = 12, shape: ModelShape = ModelShape(vocabulary: 3, hidden: 2, layers: 2),
        validationLoss: Double? = nil, slots: [String] = ["exp_avg", "exp_avg_sq"]
    ) -> Checkpoint {
        var random = SplitMix64(seed: step)
        let count = ParameterLayout(shape).count
        func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.unit()) - 0.5 } }
        return Checkpoint(
            shape: shape, parameters: FloatBuffer(numbers(count)),
            slots: slots.map { Slot(name: $0, values: FloatBuffer(numbers(count))) },
            carry: numbers(3 * shape.carryCount), step: step, epoch: 2, windowIndex: 5, seed: .max, shards: 3,
            configuration: "{\"hidden\":2,\"path\":\"a\\\"b\"}", vocabulary: "[\"\\n\",\"é\",\"漢\"]",
            corpusSHA256: String(repeating: "ab", count: 32), corpusCharacters: 1234, validationLoss: validationLoss,
            bestValidationLoss: 0.1 + 0.2)
    }
}

/// The bytes of a safetensors file with this header and data.
func safetensors(_ header: String, data: [UInt8] = []) -> Data {
    let json = Array(header.utf8)
    return Data((0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json + data)
}

/// Where the data of a safetensors file begins, by the length at its start.
func dataStart(_ bytes: Data) -> Int {
    var length = 0
    for byte in bytes.prefix(8).reversed() { length = length << 8 | Int(byte) }
    return 8 + length
}

extension [Float] {
    var bits: [UInt32] { map(\.bitPattern) }
}
