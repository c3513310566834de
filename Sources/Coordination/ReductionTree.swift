/// A node of the canonical reduction tree: at `level`, `index` covers the shards
/// `[index << level, min(leaves, (index + 1) << level))`.
package struct TreeNode: Hashable, Sendable, CustomStringConvertible {
    package let level: Int
    package let index: Int

    package init(level: Int, index: Int) {
        self.level = level
        self.index = index
    }

    package var description: String { "\(level):\(index)" }
}

/// The one binary tree in which the gradients of all shards meet, whoever computed them.
///
/// Its shape depends on the number of leaves alone, so the rounding of every sum does too. A node whose right half has
/// no leaves equals its left child: nothing is added.
package struct ReductionTree: Sendable, Hashable {
    package let leaves: Int
    package let root: TreeNode

    package init(leaves: Int) {
        precondition(leaves > 0)
        self.leaves = leaves
        var level = 0
        while (1 << level) < leaves { level += 1 }
        root = TreeNode(level: level, index: 0)
    }

    /// The shards under a node; nil where the node is not one of this tree.
    package func shards(_ node: TreeNode) -> Range<Int>? {
        guard node.level >= 0, node.level <= root.level, node.index >= 0, node.index < leaves else { return nil }
        let lower = node.index << node.level
        guard lower < leaves else { return nil }
        return lower..<min(leaves, lower + (1 << node.level))
    }

    /// The one name of a node: where right halves are empty, several nodes cover the same shards and hold the same
    /// bits, and the highest of them stands for all.
    package func canonical(_ node: TreeNode) -> TreeNode {
        var node = node
        while node != root, let own = shards(node) {
            let parent = TreeNode(level: node.level + 1, index: node.index / 2)
            guard shards(parent) == own else { break }
            node = parent
        }
        return node
    }

    /// nil for the root.
    package func parent(of node: TreeNode) -> TreeNode? {
        node == root ? nil : canonical(TreeNode(level: node.level + 1, index: node.index / 2))
    }

    /// The two nodes whose sum, left + right, is `node`; nil for a leaf.
    package func children(of node: TreeNode) -> (left: TreeNode, right: TreeNode)? {
        var level = node.level
        var index = node.index
        while level > 0 {
            let right = TreeNode(level: level - 1, index: index * 2 + 1)
            if shards(right) != nil {
                return (canonical(TreeNode(level: level - 1, index: index * 2)), canonical(right))
            }
            level -= 1
            index *= 2
        }
        return nil
    }

    /// The largest nodes under a node that have no more shards than that, at least 1, in ascending order.
    package func parts(of node: TreeNode, atMost limit: Int) -> [TreeNode] {
        guard let range = shards(node), range.count > limit, let (left, right) = children(of: node) else {
            return [node]
        }
        return parts(of: left, atMost: limit) + parts(of: right, atMost: limit)
    }

    /// The fewest nodes that cover exactly the given shards, in ascending order.
    ///
    /// - Parameters:
    ///   - shards: ascending and distinct.
    ///   - apart: a shard that stands by itself.
    package func cover(_ shards: [Int], apart: Int? = nil) -> [TreeNode] {
        if let apart, shards.contains(apart) {
            return cover(shards.filter { $0 < apart }) + cover([apart]) + cover(shards.filter { $0 > apart })
        }
        let wanted = Set(shards)
        var result: [TreeNode] = []
        func descend(_ node: TreeNode) {
            guard let range = self.shards(node) else { return }
            let held = range.lazy.filter(wanted.contains).count
            if held == 0 { return }
            if held == range.count {
                result.append(canonical(node))
                return
            }
            guard let (left, right) = children(of: node) else { return }
            descend(left)
            descend(right)
        }
        descend(root)
        return result
    }
}

/// Which nodes of one chunk's tree have arrived: an antichain, kept folded as far as it goes.
///
/// Nodes may come from several workers, cut differently, some of them twice. A node's bits are a pure function of the
/// step, so a covered node is a duplicate and a covering one replaces what it covers.
package struct ChunkFold: Sendable, Hashable {
    /// What the holder of the values does with them.
    package enum Change: Hashable, Sendable {
        /// Keep the arrived values under this node.
        case store(TreeNode)
        /// The values under this node are no longer needed.
        case drop(TreeNode)
        /// `parent = left + right`; the children's values are no longer needed.
        case add(left: TreeNode, right: TreeNode, parent: TreeNode)
        /// The root stands: the chunk is complete.
        case complete
    }

    package let tree: ReductionTree
    package private(set) var present: Set<TreeNode> = []

    package init(tree: ReductionTree) { self.tree = tree }

    package var isComplete: Bool { present.contains(tree.root) }

    /// Takes a node in. An empty answer says that it was there already.
    package mutating func insert(_ node: TreeNode) -> [Change] {
        guard let range = tree.shards(node) else { return [] }
        let node = tree.canonical(node)
        var changes: [Change] = []
        for other in present.sorted(by: { ($0.level, $0.index) < ($1.level, $1.index) }) {
            let covered = tree.shards(other)!
            if covered.lowerBound <= range.lowerBound && range.upperBound <= covered.upperBound { return [] }
            if range.lowerBound <= covered.lowerBound && covered.upperBound <= range.upperBound {
                changes.append(.drop(other))
            }
        }
        for case .drop(let other) in changes { present.remove(other) }
        changes.append(.store(node))
        present.insert(node)
        var current = node
        while let parent = tree.parent(of: current), let (left, right) = tree.children(of: parent),
            present.contains(left), present.contains(right)
        {
            changes.append(.add(left: left, right: right, parent: parent))
            present.remove(left)
            present.remove(right)
            present.insert(parent)
            current = parent
        }
        if current == tree.root { changes.append(.complete) }
        return changes
    }

    /// Whether the part of a node's shards in this chunk has arrived.
    package func covers(_ shards: Range<Int>) -> Bool {
        present.contains { node in
            let range = tree.shards(node)!
            return range.lowerBound <= shards.lowerBound && shards.upperBound <= range.upperBound
        }
    }
}
