import Coordination
import Kernels
import Testing

@testable import Training

@Suite("The coordinator's sums")
struct GradientFoldTests {
    private let tree = ReductionTree(leaves: 4)
    private let chunks = ChunkLayout(floats: ChunkLayout.chunkFloats + 3)

    /// How a gradient comes.
    enum Way: Hashable {
        /// At any alignment.
        case message(offset: Int)
        case lent
    }

    /// What a node's gradient has at a place, in single precision, so that the order of sums shows.
    private func value(_ node: TreeNode, _ step: Int, _ place: Int) -> Float {
        guard let (left, right) = tree.children(of: node) else {
            return Float(1 + (place + step) % 7) / Float(3 + 4 * node.index)
        }
        return value(left, step, place) + value(right, step, place)
    }

    private func send(
        _ node: TreeNode, _ step: Int, _ chunk: Int, _ seen: inout ChunkFold, _ fold: inout GradientFold,
        _ average: FloatBuffer, by way: Way = .message(offset: 0)
    ) {
        let changes = seen.insert(node)
        let range = chunks.range(chunk)
        let values = range.map { value(node, step, $0) }
        switch way {
        case .lent:
            let gradient = FloatBuffer(count: chunks.floats)
            for (place, value) in zip(range, values) { gradient[place] = value }
            fold.apply(changes, chunk: chunk, payload: .lent(gradient), into: average)
        case .message(let offset):
            var bytes = Array(repeating: UInt8(0), count: offset) + values.withUnsafeBytes { Array($0) }
            bytes.withUnsafeMutableBytes {
                let payload = UnsafeRawBufferPointer(rebasing: $0[offset...])
                fold.apply(changes, chunk: chunk, payload: .message(payload), into: average)
                // The message is gone.
                $0.initializeMemory(as: UInt8.self, repeating: 0xFF)
            }
        }
    }

    @Test(
        "An average is the tree's sum to the last float, however its nodes come; what was left over leaves no trace",
        arguments: [[.message(offset: 0)], [.message(offset: 1)], [.lent], [.lent, .message(offset: 0)]] as [[Way]])
    func sums(ways: [Way]) {
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
                for (index, node) in order.enumerated() {
                    send(node, step, chunk, &seen, &fold, average, by: ways[index % ways.count])
                }
                #expect(seen.isComplete)
            }
            let expected = (0..<chunks.floats).map { value(tree.root, step, $0) }
            #expect(average.array == expected)
        }
    }

    @Test("One worker's root is the average", arguments: [Way.message(offset: 0), .message(offset: 3), .lent])
    func root(way: Way) {
        var fold = GradientFold(tree: tree, chunks: chunks)
        let average = FloatBuffer(count: chunks.floats)
        for chunk in 0..<chunks.count {
            var seen = ChunkFold(tree: tree)
            send(tree.root, 0, chunk, &seen, &fold, average, by: way)
        }
        let expected = (0..<chunks.floats).map { value(tree.root, 0, $0) }
        #expect(average.array == expected)
    }

    @Test("What is lent is read and never written to")
    func lent() {
        let leaves = (0..<4).map { TreeNode(level: 0, index: $0) }
        let gradients = leaves.map { leaf in
            FloatBuffer((0..<chunks.floats).map { value(leaf, 0, $0) })
        }
        let before = gradients.map(\.array)
        var fold = GradientFold(tree: tree, chunks: chunks)
        let average = FloatBuffer(count: chunks.floats)
        for chunk in 0..<chunks.count {
            var seen = ChunkFold(tree: tree)
            for (leaf, gradient) in zip(leaves, gradients) {
                fold.apply(seen.insert(leaf), chunk: chunk, payload: .lent(gradient), into: average)
            }
        }
        #expect(gradients.map(\.array) == before)
        let expected = (0..<chunks.floats).map { value(tree.root, 0, $0) }
        #expect(average.array == expected)
    }
}
