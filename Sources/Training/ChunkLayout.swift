/// How a run of parameters is cut for the wire.
package struct ChunkLayout: Sendable, Equatable {
    /// 256 KiB: liveness sees whole frames only, so frames stay small.
    package static let chunkFloats = 65536

    package let floats: Int
    package var count: Int { (floats + Self.chunkFloats - 1) / Self.chunkFloats }

    package init(floats: Int) { self.floats = floats }

    /// In floats; the last chunk may be shorter than the others.
    package func range(_ chunk: Int) -> Range<Int> {
        chunk * Self.chunkFloats..<min(floats, (chunk + 1) * Self.chunkFloats)
    }
}

/// The chunks that become whole as parts of the floats become final, in any order, each part once.
package struct ChunkProgress: Sendable {
    private let layout: ChunkLayout
    /// Floats of each chunk that are not final.
    private var missing: [Int]

    package init(_ layout: ChunkLayout) {
        self.layout = layout
        missing = (0..<layout.count).map { layout.range($0).count }
    }

    /// - Returns: the chunks that `part` completes, the last one first.
    package mutating func complete(_ part: Range<Int>) -> [Int] {
        guard !part.isEmpty else { return [] }
        let touched = part.lowerBound / ChunkLayout.chunkFloats...(part.upperBound - 1) / ChunkLayout.chunkFloats
        return touched.reversed().filter { chunk in
            missing[chunk] -= layout.range(chunk).clamped(to: part).count
            return missing[chunk] == 0
        }
    }
}
