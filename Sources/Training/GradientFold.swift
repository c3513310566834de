package import Coordination
package import Kernels

/// The coordinator's half of the reduction: the values behind the nodes that a ``CoordinatorMachine`` tracks.
///
/// Keeps one buffer for each node that waits for its sibling, and writes each root into the step's average.
package struct GradientFold {
    private let tree: ReductionTree
    private let chunks: ChunkLayout
    private var waiting: [Int: [TreeNode: FloatBuffer]] = [:]
    private var free: [FloatBuffer] = []

    package init(tree: ReductionTree, chunks: ChunkLayout) {
        self.tree = tree
        self.chunks = chunks
    }

    /// Makes the changes of one arrived node.
    ///
    /// - Parameters:
    ///   - payload: the node's floats for this chunk; its size is already checked.
    ///   - average: where the root's values go, at the chunk's place.
    package mutating func apply(
        _ changes: [ChunkFold.Change], chunk: Int, payload: UnsafeRawBufferPointer, into average: FloatBuffer
    ) {
        let range = chunks.range(chunk)
        for change in changes {
            switch change {
            case .store(let node):
                let buffer = free.popLast() ?? FloatBuffer(count: ChunkLayout.chunkFloats)
                UnsafeMutableRawPointer(buffer.base).copyMemory(from: payload.baseAddress!, byteCount: payload.count)
                waiting[chunk, default: [:]][node] = buffer
            case .drop(let node):
                if let buffer = waiting[chunk]?.removeValue(forKey: node) { free.append(buffer) }
            case .add(let left, let right, let parent):
                guard let first = waiting[chunk]?.removeValue(forKey: left),
                    let second = waiting[chunk]?.removeValue(forKey: right)
                else { preconditionFailure("the machine adds only what is there") }
                Kernels.add(first, second, into: first, count: range.count)
                free.append(second)
                waiting[chunk]![parent] = first
            case .complete:
                guard let root = waiting[chunk]?.removeValue(forKey: tree.root) else {
                    preconditionFailure("a complete chunk has a root")
                }
                (average.base + range.lowerBound).update(from: root.base, count: range.count)
                free.append(root)
            }
        }
    }

    /// Forgets what is left of a step: nodes that came twice in different cuts.
    package mutating func clear() {
        for buffers in waiting.values { free += buffers.values }
        waiting = [:]
    }
}
