// The end of a step.

/// The word that a step is complete, with the scalars of the update as bits of Doubles, and what is on record of it.
package struct Commit: Hashable, Sendable {
    /// The step that was open; afterwards one more is committed.
    package var step: UInt64
    package var learningRateBits: UInt64
    package var clipCoefficientBits: UInt64
    package var biasCorrection1Bits: UInt64
    package var biasCorrection2Bits: UInt64
    package var record: StepFacts

    package init(
        step: UInt64, learningRateBits: UInt64, clipCoefficientBits: UInt64, biasCorrection1Bits: UInt64,
        biasCorrection2Bits: UInt64, record: StepFacts
    ) {
        self.step = step
        self.learningRateBits = learningRateBits
        self.clipCoefficientBits = clipCoefficientBits
        self.biasCorrection1Bits = biasCorrection1Bits
        self.biasCorrection2Bits = biasCorrection2Bits
        self.record = record
    }
}

extension Commit: WireMessage {
    static let kind: UInt8 = 9
    var message: Message { .commit(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(learningRateBits)
        writer.put(clipCoefficientBits)
        writer.put(biasCorrection1Bits)
        writer.put(biasCorrection2Bits)
        record.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            step: try reader.take(), learningRateBits: try reader.take(), clipCoefficientBits: try reader.take(),
            biasCorrection1Bits: try reader.take(), biasCorrection2Bits: try reader.take(),
            record: try StepFacts(from: &reader))
    }
}

/// What the workers keep of a step, so that a coordinator that lost its last lines can write them again.
package struct StepFacts: Hashable, Sendable {
    /// Bits of Doubles: nats a character, and the norm before clipping.
    package var lossBits: UInt64
    package var gradientNormBits: UInt64
    /// How long the step took, at least 1.
    package var nanoseconds: UInt64
    /// That were ready at the commit.
    package var workers: UInt32

    package init(lossBits: UInt64, gradientNormBits: UInt64, nanoseconds: UInt64, workers: UInt32) {
        self.lossBits = lossBits
        self.gradientNormBits = gradientNormBits
        self.nanoseconds = nanoseconds
        self.workers = workers
    }
}

extension StepFacts {
    func encode(into writer: inout ByteWriter) {
        writer.put(lossBits)
        writer.put(gradientNormBits)
        writer.put(nanoseconds)
        writer.put(workers)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            lossBits: try reader.take(), gradientNormBits: try reader.take(), nanoseconds: try reader.take(),
            workers: try reader.take())
    }
}

/// A replica stands after so many steps: a worker is ready with its first, and tells of each update.
package struct Applied: Hashable, Sendable {
    /// How many steps the replica holds.
    package var step: UInt64
    /// The digest of the replica's parameters after those steps.
    package var digest: UInt64
    /// How the worker spent the last of them.
    package var times: ComputeTimes

    package init(step: UInt64, digest: UInt64, times: ComputeTimes = ComputeTimes()) {
        self.step = step
        self.digest = digest
        self.times = times
    }
}

extension Applied: WireMessage {
    static let kind: UInt8 = 10
    var message: Message { .applied(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(digest)
        times.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(step: try reader.take(), digest: try reader.take(), times: try ComputeTimes(from: &reader))
    }
}
