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
}
