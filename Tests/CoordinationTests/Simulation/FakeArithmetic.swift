import Coordination

/// Parameters and optimizer state, each as one number.
struct FakeReplica: Hashable {
    var parameters: UInt64 = 42
    var state: UInt64 = 43

    /// What travels as a part of a snapshot: the first holds all, the others betray parts of another replica.
    func part(_ index: Int) -> [UInt64] {
        index == 0 ? [parameters, state] : [mix([6, UInt64(index), parameters, state])]
    }

    /// nil where the parts are not all of one replica.
    init?(parts: [[UInt64]]) {
        (parameters, state) = (parts[0][0], parts[0][1])
        for (index, part) in parts.enumerated() where part != self.part(index) { return nil }
    }

    init() {}

    mutating func update(averages: [UInt64], scalars: UInt64) {
        state = mix([7, state, scalars] + averages)
        parameters = mix([5, parameters, state, scalars] + averages)
    }
}

/// The arithmetic, stood in for by hashes: any value computed from other inputs, or in another order, differs.
enum FakeArithmetic {
    /// Stands for an infinity or a NaN.
    static let notFinite = UInt64.max

    static func leaf(step: UInt64, replica: FakeReplica, shard: Int, carry: UInt64, chunk: Int) -> UInt64 {
        mix([1, step, replica.parameters, UInt64(shard), carry, UInt64(chunk)])
    }
    static func add(_ left: UInt64, _ right: UInt64) -> UInt64 { mix([2, left, right]) }
    static func carry(_ carry: UInt64, step: UInt64, replica: FakeReplica, shard: Int) -> UInt64 {
        mix([3, carry, step, replica.parameters, UInt64(shard)])
    }
    static func loss(step: UInt64, replica: FakeReplica, shard: Int, carry: UInt64) -> UInt64 {
        mix([4, step, replica.parameters, UInt64(shard), carry])
    }
    static func evaluation(replica: FakeReplica, segment: Int) -> UInt64 {
        mix([10, replica.parameters, UInt64(segment)])
    }
    static func node(_ node: TreeNode, of tree: ReductionTree, leaf: (Int) -> UInt64) -> UInt64 {
        guard let (left, right) = tree.children(of: node) else { return leaf(tree.shards(node)!.lowerBound) }
        return add(self.node(left, of: tree, leaf: leaf), self.node(right, of: tree, leaf: leaf))
    }
}
