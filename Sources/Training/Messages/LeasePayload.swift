import LanguageModel

/// The bulk of a lease: for each shard rows x (window + 1) tokens as UInt32, then the carries, all little-endian.
package enum LeasePayload {
    /// A payload that a coordinator of ours would not send.
    package struct Malformed: Error, CustomStringConvertible {
        package let description: String
    }

    /// Inputs and targets are one run: the targets are the inputs shifted by one.
    package static func encode(tokens: [[UInt32]], carries: [ArraySlice<Float>]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(tokens.reduce(0) { $0 + $1.count * 4 } + carries.reduce(0) { $0 + $1.count * 4 })
        for run in tokens { run.withUnsafeBytes { bytes.append(contentsOf: $0) } }
        for run in carries { run.withUnsafeBytes { bytes.append(contentsOf: $0) } }
        return bytes
    }

    /// By shard. Tokens are row-major, rows of a shard x `T`; a carry has `[layers][h, c][H]` for each row.
    package struct Contents {
        package let inputs: [[UInt32]]
        package let targets: [[UInt32]]
        package let carries: [[Float]]
    }

    /// - Throws: ``Malformed`` where the size is not exactly that of the lease, or a token is outside the vocabulary.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, shards: Int, carried: Int, configuration: RunConfiguration
    ) throws(Malformed) -> Contents {
        let rows = configuration.rowsPerShard
        let width = configuration.window + 1
        let carryFloats = rows * configuration.model.carryCount
        guard bytes.count == (shards * rows * width + carried * carryFloats) * 4 else {
            throw Malformed(description: "a lease's payload has \(bytes.count) bytes")
        }
        var inputs: [[UInt32]] = []
        var targets: [[UInt32]] = []
        let vocabulary = UInt32(configuration.model.vocabulary)
        for shard in 0..<shards {
            var input: [UInt32] = []
            var target: [UInt32] = []
            input.reserveCapacity(rows * (width - 1))
            target.reserveCapacity(rows * (width - 1))
            for row in 0..<rows {
                let start = (shard * rows + row) * width
                for column in 0..<width {
                    let token = UInt32(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: (start + column) * 4, as: UInt32.self))
                    guard token < vocabulary else {
                        throw Malformed(description: "token \(token) is outside the vocabulary")
                    }
                    if column < width - 1 { input.append(token) }
                    if column > 0 { target.append(token) }
                }
            }
            inputs.append(input)
            targets.append(target)
        }
        let base = shards * rows * width * 4
        let carries = (0..<carried).map { index in
            [Float](unsafeUninitializedCapacity: carryFloats) { buffer, count in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: bytes[base + index * carryFloats * 4..<base + (index + 1) * carryFloats * 4]))
                count = carryFloats
            }
        }
        return Contents(inputs: inputs, targets: targets, carries: carries)
    }
}
