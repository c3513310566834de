package import Coordination
package import Kernels
package import LanguageModel

/// Full parameters and optimizer state, and the only way to move them on by a step. Owned by one thread at a time.
package final class Replica: Sendable {
    // Handed from the thread that fills it to the thread that updates it, never shared.
    package let parameters: FloatBuffer
    package let optimizer: Optimizer
    package let chunks: ChunkLayout

    /// - Parameter parameters: nil for zeros.
    package init(configuration: RunConfiguration, parameters: FloatBuffer? = nil) {
        let count = configuration.layout.count
        self.parameters = parameters ?? FloatBuffer(count: count)
        optimizer = Optimizer(configuration: configuration.optimizer, count: count, clipValue: configuration.clipValue)
        chunks = ChunkLayout(floats: count)
    }

    /// Parameters first, then the optimizer's slots.
    package var buffers: [FloatBuffer] { [parameters] + optimizer.slots }

    /// How many parts a snapshot has.
    package var partCount: Int { buffers.count * chunks.count }

    /// Where a part of a snapshot lies.
    package func part(_ part: Int) -> (buffer: Int, range: Range<Int>) {
        (part / chunks.count, chunks.range(part % chunks.count))
    }

    /// Takes a part of a snapshot in; its size is already checked.
    package func fill(part: Int, from bytes: UnsafeRawBufferPointer) {
        let (buffer, range) = self.part(part)
        precondition(bytes.count == range.count * 4)
        UnsafeMutableRawPointer(buffers[buffer].base + range.lowerBound)
            .copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
    }

    /// - Parameter average: the gradient of the mean loss, laid out as the parameters.
    package func apply(_ scalars: UpdateScalars, average: FloatBuffer) {
        optimizer.apply(gradient: average, to: parameters, scalars: scalars)
    }

    /// The digest of the parameters: 64 bits.
    package var digest: UInt64 { Kernels.digest(parameters) }

    /// The digest of the optimizer's state: 64 bits.
    package var stateDigest: UInt64 {
        let digests = optimizer.slots.map { Kernels.digest($0) }
        return digests.withUnsafeBytes { Kernels.digest($0) }
    }
}

extension UpdateScalars {
    /// The scalars that a commit carries; its update is the one after the steps that it counts.
    package init(_ commit: Commit) {
        self.init(
            update: commit.step + 1, learningRate: Double(bitPattern: commit.learningRateBits),
            clipCoefficient: Double(bitPattern: commit.clipCoefficientBits),
            biasCorrection1: Double(bitPattern: commit.biasCorrection1Bits),
            biasCorrection2: Double(bitPattern: commit.biasCorrection2Bits))
    }

    /// - Parameter step: from 0, as in ``Commit``.
    package func commit(step: UInt64, record: StepFacts) -> Commit {
        Commit(
            step: step, learningRateBits: learningRate.bitPattern, clipCoefficientBits: clipCoefficient.bitPattern,
            biasCorrection1Bits: biasCorrection1.bitPattern, biasCorrection2Bits: biasCorrection2.bitPattern,
            record: record)
    }
}
