package import Coordination
package import Kernels

/// Where an arrived gradient lies.
package enum GradientPayload {
    /// Behind the message: its chunk, gone after it.
    case message(UnsafeRawBufferPointer)
    /// Where a worker of this machine computed it: all of it, as it is until the step is committed or begins anew.
    case lent(FloatBuffer)
}

/// The coordinator's half of the reduction: the values behind the nodes that a ``CoordinatorMachine`` tracks.
///
/// Keeps the values of each node that waits for its sibling, and writes each root into the step's average.
package struct GradientFold {
    /// The values of one node for one chunk.
    private enum Values {
        /// In a buffer of the fold's.
        case own(FloatBuffer)
        /// In a whole gradient that stays as it is until the step is over.
        case lent(FloatBuffer)
        /// In the message at hand, which is gone after it.
        case message(UnsafePointer<Float>)
    }

    private let tree: ReductionTree
    private let chunks: ChunkLayout
    private var waiting: [Int: [TreeNode: Values]] = [:]
    private var free: [FloatBuffer] = []

    /// Nothing has arrived yet, of any chunk.
    package init(tree: ReductionTree, chunks: ChunkLayout) {
        self.tree = tree
        self.chunks = chunks
    }

    /// Makes the changes of one arrived node.
    ///
    /// - Parameters:
    ///   - payload: the node's floats for this chunk; their size is already checked.
    ///   - average: where the root's values go, at the chunk's place.
    package mutating func apply(
        _ changes: [ChunkFold.Change], chunk: Int, payload: GradientPayload, into average: FloatBuffer
    ) {
        let range = chunks.range(chunk)
        let target = average.base + range.lowerBound
        var isInPlace = false
        var arrived: TreeNode?
        for change in changes {
            switch change {
            case .store(let node):
                waiting[chunk, default: [:]][node] = values(payload, count: range.count)
                arrived = node
            case .drop(let node): _ = take(node, chunk)
            case .add(let left, let right, let parent):
                guard let first = take(left, chunk), let second = take(right, chunk) else {
                    preconditionFailure("the machine adds only what is there")
                }
                let sum = parent == tree.root ? nil : takeBuffer()
                Kernels.add(
                    pointer(first, range), pointer(second, range), into: sum?.base ?? target, count: range.count)
                waiting[chunk]![parent] = sum.map { .own($0) }
                isInPlace = sum == nil
            case .complete:
                if isInPlace { break }
                guard let root = take(tree.root, chunk) else { preconditionFailure("a complete chunk has a root") }
                target.update(from: pointer(root, range), count: range.count)
            }
        }
        // What waits outlives the message.
        if let arrived, case .message(let floats)? = waiting[chunk]?[arrived] {
            waiting[chunk]![arrived] = .own(copy(floats, count: range.count))
        }
    }

    /// Forgets what is left of a step: nodes that came twice in different cuts.
    package mutating func clear() {
        for values in waiting.values.flatMap(\.values) { recycle(values) }
        waiting = [:]
    }

    private mutating func values(_ payload: GradientPayload, count: Int) -> Values {
        switch payload {
        case .lent(let gradient): return .lent(gradient)
        case .message(let bytes):
            let base = bytes.baseAddress!
            guard Int(bitPattern: base) % MemoryLayout<Float>.alignment == 0 else {
                return .own(copy(base, count: count))
            }
            return .message(base.assumingMemoryBound(to: Float.self))
        }
    }

    private mutating func takeBuffer() -> FloatBuffer {
        free.popLast() ?? FloatBuffer(count: ChunkLayout.chunkFloats)
    }

    /// Copies floats that may stand at any alignment.
    private mutating func copy(_ floats: UnsafeRawPointer, count: Int) -> FloatBuffer {
        let buffer = takeBuffer()
        UnsafeMutableRawPointer(buffer.base).copyMemory(from: floats, byteCount: count * 4)
        return buffer
    }

    /// The values are to be read before the next are taken up: their buffer is free again.
    private mutating func take(_ node: TreeNode, _ chunk: Int) -> Values? {
        guard let values = waiting[chunk]?.removeValue(forKey: node) else { return nil }
        recycle(values)
        return values
    }

    private mutating func recycle(_ values: Values) {
        if case .own(let buffer) = values { free.append(buffer) }
    }

    private func pointer(_ values: Values, _ range: Range<Int>) -> UnsafePointer<Float> {
        switch values {
        case .own(let buffer): UnsafePointer(buffer.base)
        case .lent(let gradient): UnsafePointer(gradient.base + range.lowerBound)
        case .message(let floats): floats
        }
    }
}
