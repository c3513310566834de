import Testing

@testable import Training

@Suite("Chunks that become whole")
struct ChunkProgressTests {
    @Test("A chunk is told of once, by the part that completes it, in whatever order parts come")
    func order() {
        let size = ChunkLayout.chunkFloats
        let layout = ChunkLayout(floats: 3 * size + 100)
        #expect(layout.count == 4)
        var progress = ChunkProgress(layout)
        #expect(progress.complete(size - 10..<2 * size) == [1])
        #expect(progress.complete(3 * size + 1..<3 * size + 100).isEmpty)
        #expect(progress.complete(5..<5).isEmpty)
        #expect(progress.complete(0..<size - 11).isEmpty)
        // Ends in the one, passes over another and begins the third.
        #expect(progress.complete(2 * size..<3 * size + 1) == [3, 2])
        #expect(progress.complete(size - 11..<size - 10) == [0])
    }

    @Test("Chunks leave together, but at the end few are left to leave")
    func together() {
        let size = ChunkLayout.chunkFloats
        let layout = ChunkLayout(floats: 40 * size)
        var progress = ChunkProgress(layout, together: 8)
        var sent: [[Int]] = []
        for chunk in (0..<40).reversed() {
            let now = progress.complete(chunk * size..<(chunk + 1) * size)
            if !now.isEmpty { sent.append(now) }
        }
        #expect(sent.flatMap(\.self) == Array((0..<40).reversed()))
        #expect(sent.map(\.count) == [8, 8, 8, 5, 4, 2, 2, 1, 1, 1])
    }
}
