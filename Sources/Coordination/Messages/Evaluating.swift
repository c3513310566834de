// The loss on the held-out text.

/// Segments of the held-out text to run forward, on the replica that holds `step` steps. The payload holds, for each in
/// order, its tokens and the one after them as UInt32; all have the same length.
package struct EvaluationLease: Hashable, Sendable {
    /// How many steps are committed.
    package var step: UInt64
    /// Ascending.
    package var segments: [UInt32]

    package init(step: UInt64, segments: [UInt32]) {
        self.step = step
        self.segments = segments
    }
}

extension EvaluationLease: WireMessage {
    static let kind: UInt8 = 21
    var message: Message { .evaluate(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(list: segments)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(step: try reader.take(), segments: try reader.takeList())
        guard !segments.isEmpty else { throw .outOfBounds("segments") }
    }
}

/// The answer to an ``EvaluationLease``.
package struct EvaluationResult: Hashable, Sendable {
    /// The step of the lease.
    package var step: UInt64
    /// The segments of a lease.
    package var segments: [UInt32]
    /// For each segment its sum of losses in nats: the bits of a Double, passed on and never computed with here.
    package var lossBits: [UInt64]

    package init(step: UInt64, segments: [UInt32], lossBits: [UInt64]) {
        self.step = step
        self.segments = segments
        self.lossBits = lossBits
    }
}

extension EvaluationResult: WireMessage {
    static let kind: UInt8 = 22
    var message: Message { .evaluated(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(list: segments)
        for bits in lossBits { writer.put(bits) }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(step: try reader.take(), segments: try reader.takeList(), lossBits: [])
        for _ in segments { lossBits.append(try reader.take()) }
    }
}
