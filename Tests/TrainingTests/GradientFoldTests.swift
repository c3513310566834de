import Coordination
import Kernels
import Testing

@testable import Training

@Suite("The coordinator's sums")
struct GradientFoldTests {
    private let tree = ReductionTree(leaves: 4)
    private let chunks = ChunkLayout(floats: ChunkLayout.chunkFloats + 3)

    /// What a node's gradient has at a place, in single precision, so that the order of sums shows.
    private func value(_ node: TreeNode, _ step: Int, _ place: Int) -> Float {
        guard let (left, right) = tree.children(of: node) else {
            return Float(1 + (place + step) % 7) / Float(3 + 4 * node.index)
        }
        return value(left, step, place) + value(right, step, place)
    }

    private func send(
        _ node: TreeNode, _ step: Int, _ chunk: Int, _ seen: inout ChunkFold, _ fold: inout GradientFold,
        _ average: FloatBuffer
    ) {
        let values = chunks.range(chunk).map { value(node, step, $0) }
        let changes = seen.insert(node)
        values.withUnsafeBytes { fold.apply(changes, chunk: chunk, payload: $0, into: average) }
    }

    @Test("An average is the tree's sum to the last float, however its nodes come; what was left over leaves no trace")
    func sums() {
        func leaf(_ index: Int) -> TreeNode { TreeNode(level: 0, index: index) }
        let pair = TreeNode(level: 1, index: 0)
        var fold = GradientFold(tree: tree, chunks: chunks)
        for step in 0..<3 {
            // Two nodes of a step that begins again: they wait for their siblings until the fold is cleared.
            for chunk in 0..<chunks.count {
                var void = ChunkFold(tree: tree)
                let nowhere = FloatBuffer(count: chunks.floats)
                for index in [0, 3] { send(leaf(index), step, chunk, &void, &fold, nowhere) }
            }
            fold.clear()
            let average = FloatBuffer(count: chunks.floats)
            // One chunk begins with a leaf that a pair then covers, the other ends with leaves.
            let orders = [[leaf(1), pair, leaf(3), leaf(2)], [leaf(2), leaf(0), leaf(3), leaf(1)]]
            for (chunk, order) in orders.enumerated() {
                var seen = ChunkFold(tree: tree)
                for node in order { send(node, step, chunk, &seen, &fold, average) }
                #expect(seen.isComplete)
            }
            let expected = (0..<chunks.floats).map { value(tree.root, step, $0) }
            #expect(average.array == expected)
        }
    }
}
