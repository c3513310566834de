/// What a compute thread of a worker was at for a while. As ``ComputeTimes`` are: a worker's word, for people.
package struct ThreadSpan: Hashable, Sendable {
    /// The parts of a step, in the order of time.
    package enum Phase: UInt8, Sendable {
        case pack, forward, backward, weightGradients, update
    }

    /// Threads of a worker, and spans of a thread, that are told of at most.
    package static let maximumThreads = 128
    package static let maximumCount = 64

    package var phase: Phase
    /// Microseconds from its beginning to the end of the replica's update, which ends the step for its worker.
    package var beforeEnd: UInt32
    /// Microseconds; at most `beforeEnd`.
    package var length: UInt32

    package init(phase: Phase, beforeEnd: UInt32, length: UInt32) {
        self.phase = phase
        self.beforeEnd = beforeEnd
        self.length = length
    }
}

extension ThreadSpan {
    func encode(into writer: inout ByteWriter) {
        writer.put(phase.rawValue)
        writer.put(beforeEnd)
        writer.put(length)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        guard let phase = Phase(rawValue: try reader.take()) else { throw .outOfBounds("phase") }
        self.init(phase: phase, beforeEnd: try reader.take(), length: try reader.take())
    }

    /// Those of one thread: in the order of time and apart.
    static func list(from reader: inout ByteReader) throws(WireError) -> [ThreadSpan] {
        let count: UInt8 = try reader.take()
        guard Int(count) <= maximumCount else { throw .outOfBounds("spans") }
        var spans: [ThreadSpan] = []
        var free = UInt32.max
        for _ in 0..<count {
            let span = try ThreadSpan(from: &reader)
            guard span.beforeEnd <= free, span.length <= span.beforeEnd else { throw .outOfBounds("span") }
            free = span.beforeEnd - span.length
            spans.append(span)
        }
        return spans
    }
}
