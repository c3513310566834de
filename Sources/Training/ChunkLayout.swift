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

    /// The chunks that become whole as `[lower, floats)` grows downwards: final from `newLower` on, where it was
    /// final from `oldLower` on before. Descending.
    package func completed(from oldLower: Int, downTo newLower: Int) -> [Int] {
        let firstWhole = (newLower + Self.chunkFloats - 1) / Self.chunkFloats
        let firstBefore = (oldLower + Self.chunkFloats - 1) / Self.chunkFloats
        return firstWhole < firstBefore ? (firstWhole..<min(firstBefore, count)).reversed() : []
    }
}
