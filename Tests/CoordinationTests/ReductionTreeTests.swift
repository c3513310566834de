import Coordination
import SeededNumbers
import Testing

@Suite("The canonical reduction tree")
struct ReductionTreeTests {
    @Test("A node is cut into the largest parts that are small enough", arguments: [1, 5, 8, 13])
    func parts(leaves: Int) {
        let tree = ReductionTree(leaves: leaves)
        for limit in 1...leaves {
            let parts = tree.parts(of: tree.root, atMost: limit)
            #expect(parts.flatMap { Array(tree.shards($0)!) } == Array(0..<leaves))
            #expect(parts.allSatisfy { tree.shards($0)!.count <= limit })
            for part in parts where part != tree.root {
                #expect(tree.shards(tree.parent(of: part)!)!.count > limit)
            }
        }
    }

    @Test("A cover holds exactly the shards asked for, once each", arguments: 1...17)
    func cover(leaves: Int) {
        let tree = ReductionTree(leaves: leaves)
        var random = SplitMix64(seed: UInt64(leaves))
        for _ in 0..<200 {
            let shards = (0..<leaves).filter { _ in Bool.random(using: &random) }
            let nodes = tree.cover(shards)
            #expect(nodes.flatMap { Array(tree.shards($0)!) } == shards)
            #expect(nodes.allSatisfy { tree.canonical($0) == $0 })
        }
    }

    @Test("All shards are covered by the root alone", arguments: 1...17)
    func root(leaves: Int) {
        let tree = ReductionTree(leaves: leaves)
        #expect(tree.cover(Array(0..<leaves)) == [tree.root])
    }

    @Test("However the leaves are cut and ordered, the root has the same bits", arguments: [1, 2, 3, 5, 8, 11, 16])
    func anyOrder(leaves: Int) {
        let tree = ReductionTree(leaves: leaves)
        let leaf = { (shard: Int) in mix(UInt64(shard) + 100) }
        let expected = FakeArithmetic.node(tree.root, of: tree, leaf: leaf)
        var random = SplitMix64(seed: 3)
        for _ in 0..<200 {
            var fold = ChunkFold(tree: tree)
            var values: [TreeNode: UInt64] = [:]
            var root: UInt64?
            // Overlapping cuts, as when a worker is lost after it sent a part.
            var nodes = tree.cover(Array(0..<leaves))
            for _ in 0..<4 {
                nodes += tree.cover((0..<leaves).filter { _ in Bool.random(using: &random) })
            }
            nodes += (0..<leaves).map { tree.canonical(TreeNode(level: 0, index: $0)) }
            for node in nodes.shuffled(using: &random) {
                for change in fold.insert(node) {
                    switch change {
                    case .store(let node): values[node] = FakeArithmetic.node(node, of: tree, leaf: leaf)
                    case .drop(let node): values[node] = nil
                    case .add(let left, let right, let parent):
                        values[parent] = FakeArithmetic.add(values[left]!, values[right]!)
                        values[left] = nil
                        values[right] = nil
                    case .complete:
                        #expect(root == nil)
                        root = values[tree.root]
                    }
                }
                #expect(Set(values.keys) == fold.present)
            }
            #expect(root == expected)
        }
    }

    @Test("Shards are shared by weight, and nobody is more than one from the exact share")
    func apportioning() {
        let plan = LeasePlan.apportion(Array(0..<16), among: [(10, 1), (11, 1), (12, 1)])
        #expect(plan.map(\.shards) == [[0, 1, 2, 3, 12, 13], [4, 5, 6, 7, 14], [8, 9, 10, 11, 15]])
        let weighted = LeasePlan.apportion(Array(0..<16), among: [(10, 3), (11, 1)])
        #expect(weighted.map(\.shards.count) == [4, 12])
        #expect(LeasePlan.text(plan[0].shards) == "0-3,12-13" && LeasePlan.text([]) == "-")
        let many = LeasePlan.apportion([0, 1], among: (1...5).map { (UInt64($0), 1) })
        #expect(many.map(\.worker) == [1, 2])
    }

    @Test("Shares stay equal where the work, or the whole step, would gain less than an eighth")
    func equalShares() {
        func counts(_ costs: [UInt64], stepTime: UInt64 = 0) -> [Int] {
            LeasePlan.apportion(
                Array(0..<16), among: costs.enumerated().map { (UInt64($0), $1) }, stepTime: stepTime
            ).map(\.shards.count)
        }
        #expect(counts([10, 11]) == [8, 8])
        #expect(counts([10, 13]) == [9, 7])
        // On a slow link most of a step is no work.
        #expect(counts([10, 13], stepTime: 200) == [8, 8])
        #expect(counts([10, 10, 13, 11]) == [4, 4, 4, 4])
        #expect(counts([11, 10, 10]) == [5, 6, 5])
    }

    @Test("Leases are runs of the tree: as few nodes as the counts allow, for any number of shards and workers")
    func alignment() {
        var random = SplitMix64(seed: 8)
        for shards in [1, 2, 3, 5, 7, 8, 12, 16, 21, 64, 100] {
            let tree = ReductionTree(leaves: shards)
            for workers in 1...9 {
                let paces = (0..<workers).map { (worker: WorkerID($0 + 1), cost: 1 + random.next() % 5) }
                let plan = LeasePlan.apportion(Array(0..<shards), among: paces)
                #expect(plan.flatMap(\.shards).sorted() == Array(0..<shards))
                for (_, held) in plan {
                    #expect(held == held.sorted())
                    #expect(tree.cover(held).count <= held.count.nonzeroBitCount, "\(held) of \(shards)")
                }
            }
        }
    }

    @Test("One of three workers four times slower: the step takes less than a quarter more than the ideal share would")
    func straggler() {
        for shards in 16...256 {
            let paces: [LeasePlan.Pace] = [(1, 1000), (2, 4000), (3, 1000)]
            let plan = LeasePlan.apportion(Array(0..<shards), among: paces)
            let counts = Dictionary(uniqueKeysWithValues: plan.map { ($0.worker, $0.shards.count) })
            let ideal = Double(shards) * 1000 / 2.25
            #expect(Double(LeasePlan.duration(counts, paces)) < 1.25 * ideal, "\(shards) shards: \(counts)")
        }
    }
}
