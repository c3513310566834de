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
    private let together: Int
    /// Floats of each chunk that are not final.
    private var missing: [Int]
    private var heldBack: [Int] = []
    private var open: Int

    /// - Parameter together: chunks are held back until there are so many, or half as many as are still open, so that few
    ///   are left to send at the end. Each message wakes four threads, which take their time from those that compute.
    package init(_ layout: ChunkLayout, together: Int = 1) {
        self.layout = layout
        self.together = together
        missing = (0..<layout.count).map { layout.range($0).count }
        open = layout.count
    }

    /// - Returns: the chunks to send now: those that `part` completes, the last one first, behind what was held back.
    package mutating func complete(_ part: Range<Int>) -> [Int] {
        guard !part.isEmpty else { return [] }
        let touched = part.lowerBound / ChunkLayout.chunkFloats...(part.upperBound - 1) / ChunkLayout.chunkFloats
        for chunk in touched.reversed() {
            missing[chunk] -= layout.range(chunk).clamped(to: part).count
            guard missing[chunk] == 0 else { continue }
            heldBack.append(chunk)
            open -= 1
        }
        guard heldBack.count >= min(together, max(1, open / 2)) else { return [] }
        defer { heldBack = [] }
        return heldBack
    }
}
