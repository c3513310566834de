/// What the coordinator's machine knows at one moment: the part of a ``RunSnapshot`` that only it can tell.
package struct ClusterStatus: Hashable, Sendable {
    /// A worker whose session is open.
    package struct Member: Hashable, Sendable {
        package var worker: WorkerID
        package var hello: Hello
        package var state: MemberState
        /// Leased to it in the open step.
        package var shards: [Int]
        package var reportedShards: Int
        /// Nanoseconds since its last word.
        package var silence: UInt64
        /// Nanoseconds for a shard, as measured.
        package var cost: UInt64?
    }

    /// A node of the open step's reduction tree, and the shards below it.
    package struct Node: Hashable, Sendable {
        package var node: TreeNode
        package var shards: Range<Int>
        /// Chunks in which it stands.
        package var chunks: Int
    }

    package var isRecovering: Bool
    package var isFinished: Bool
    package var hasStarted: Bool
    /// The open step, from 0.
    package var step: UInt64
    /// Nanoseconds; nil where the step has not begun.
    package var age: UInt64?
    package var chunks: Int
    package var completeChunks: Int
    package var shards: Int
    package var acceptedShards: Int
    package var waitingReason: String?
    /// In the order of joining.
    package var members: [Member]
    /// The reduction tree, root first; of a large one the upper levels.
    package var tree: [Node]
}

extension CoordinatorMachine {
    /// Levels of the tree that are told of, at most.
    private static let levelsShown = 7

    /// What the machine knows at `now`, in nanoseconds of the clock that its events have. Changes nothing.
    package func status(now: UInt64) -> ClusterStatus {
        ClusterStatus(
            isRecovering: isRecovering, isFinished: isFinished, hasStarted: hasStarted, step: step,
            age: stepAge(now: now), chunks: folds.count, completeChunks: completeChunks, shards: configuration.shards,
            acceptedShards: accepted.count, waitingReason: waitingReason(now: now),
            members: order.map { worker in
                let member = members[worker]!
                return ClusterStatus.Member(
                    worker: worker, hello: member.hello, state: state(of: member),
                    shards: member.grants.flatMap(\.shards).sorted(), reportedShards: member.reported.count,
                    silence: now.since(member.lastHeard), cost: member.cost)
            },
            tree: treeStatus())
    }

    private func state(of member: Member) -> MemberState {
        if !member.isReady { return .joining }
        return member.openShards.subtracting(accepted).isEmpty ? .idle : phase(of: member)
    }

    /// Where a worker is in its leases of the open step, by what has come of them.
    func phase(of member: Member) -> MemberState {
        if member.partsSeen == 0 { return .forward }
        let shards = Set(member.grants.flatMap(\.shards)).count
        return member.partsSeen < shards * folds.count ? .backward : .result
    }

    private func treeStatus() -> [ClusterStatus.Node] {
        var nodes = [tree.root]
        var parents = [0]
        var next = 0
        let lowest = tree.root.level + 1 - Self.levelsShown
        while next < nodes.count {
            if let (left, right) = tree.children(of: nodes[next]) {
                for child in [left, right] where child.level >= lowest {
                    nodes.append(child)
                    parents.append(next)
                }
            }
            next += 1
        }
        // A node stands where it or one above it has arrived. Parents come before their children.
        var counts = Array(repeating: completeChunks, count: nodes.count)
        var stands = Array(repeating: false, count: nodes.count)
        for fold in folds where !fold.isComplete && !fold.present.isEmpty {
            for index in nodes.indices {
                stands[index] = (index > 0 && stands[parents[index]]) || fold.present.contains(nodes[index])
                if stands[index] { counts[index] += 1 }
            }
        }
        return nodes.indices.map {
            ClusterStatus.Node(node: nodes[$0], shards: tree.shards(nodes[$0])!, chunks: counts[$0])
        }
    }
}
