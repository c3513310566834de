import Kernels
import LanguageModel
import SeededNumbers
import Synchronization
import Testing

@Suite("The gradient engine")
struct GradientEngineTests {
    /// A step of `shards` shards, computed in the given groups of shards by separate engines, folded by hand.
    private func gradient(
        _ geometry: EngineGeometry, groups: [[Range<Int>]], threads: Int
    ) -> (gradient: FloatBuffer, outcomes: [ShardOutcome]) {
        let layout = ParameterLayout(geometry.shape)
        let parameters = Initializer.torch.initialise(
            layout: layout, shape: geometry.shape, seed: 3, forgetBias: nil)
        var random = SplitMix64(seed: 9)
        let tokens = geometry.rowsPerShard * geometry.window
        let work = (0..<geometry.shards).map { shard in
            ShardWork(
                shard: shard,
                inputs: (0..<tokens).map { _ in UInt32(random.next() % UInt64(geometry.shape.vocabulary)) },
                targets: (0..<tokens).map { _ in UInt32(random.next() % UInt64(geometry.shape.vocabulary)) },
                carry: (0..<geometry.rowsPerShard * geometry.shape.carryCount).map { _ in
                    Float(random.unit() - 0.5)
                })
        }
        var nodes: [Range<Int>: FloatBuffer] = [:]
        var outcomes: [ShardOutcome] = []
        for group in groups {
            let engine = GradientEngine(geometry: geometry, threads: threads)
            let own = group.map { GradientNode(shards: $0, gradient: FloatBuffer(count: layout.count)) }
            let parts = Mutex<[(range: Range<Int>, digests: [UInt64])]>([])
            @Sendable func digests(_ range: Range<Int>) -> [UInt64] {
                own.map {
                    digest(
                        UnsafeRawBufferPointer(rebasing: $0.gradient.bytes[range.lowerBound * 4..<range.upperBound * 4])
                    )
                }
            }
            outcomes += engine.run(
                step: 7, parameters: parameters, work: group.flatMap { Array($0) }.map { work[$0] }, nodes: own
            ) { range in parts.withLock { $0.append((range, digests(range))) } }
            // What was said to be final was final, and everything was, once.
            var covered = 0
            for part in parts.withLock({ $0 }).sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
                #expect(part.range.lowerBound == covered && part.digests == digests(part.range))
                covered = part.range.upperBound
            }
            #expect(covered == layout.count)
            let phases = engine.phases
            #expect([phases.pack, phases.forward, phases.backward, phases.weightGradients].allSatisfy { $0 > 0 })
            for node in own { nodes[node.shards] = node.gradient }
        }
        func sum(_ range: Range<Int>) -> FloatBuffer {
            if let node = nodes[range] { return node }
            var half = 1
            while half * 2 < range.count { half *= 2 }
            let (left, right) = (
                sum(range.lowerBound..<range.lowerBound + half), sum(range.lowerBound + half..<range.upperBound)
            )
            add(left, right, into: left, count: left.count)
            return left
        }
        return (sum(0..<geometry.shards), outcomes.sorted { $0.shard < $1.shard })
    }

    @Test(
        "Threads and the grouping of shards never change a bit",
        arguments: [
            (8, 3, 0.5, 33, 2, 16), (8, 3, 0.0, 16, 1, 1), (5, 3, 0.25, 21, 3, 7), (6, 3, 0.0, 21, 3, 7),
            // So many rows that logits are products of the outputs where they lie.
            (8, 5, 0.3, 40, 2, 7), (8, 8, 0.0, 64, 2, 3),
        ])
    func grouping(shards: Int, rowsPerShard: Int, dropout: Double, hidden: Int, layers: Int, window: Int) {
        let geometry = EngineGeometry(
            shape: ModelShape(vocabulary: 19, hidden: hidden, layers: layers), batch: shards * rowsPerShard,
            window: window,
            shards: shards, dropout: dropout, seed: 5)
        let whole = gradient(geometry, groups: [[0..<shards]], threads: 1)
        let cuts: [[[Range<Int>]]] = [
            [[0..<4, 4..<shards]], [[0..<4], [4..<shards]], [[0..<2, 2..<3], [3..<4], [4..<shards]],
            [(0..<shards).map { $0..<$0 + 1 }],
        ]
        for groups in cuts {
            for threads in [1, 2, 4] {
                let other = gradient(geometry, groups: groups, threads: threads)
                #expect(digest(other.gradient) == digest(whole.gradient))
                #expect(other.outcomes == whole.outcomes)
            }
        }
    }

    @Test("Dropout drops its share of units, scales the rest, and differs from step to step")
    func dropout() {
        let mask = DropoutMask(probability: 0.3, seed: 11)
        let ones = [Float](repeating: 1, count: 4096)
        func row(step: UInt64, row: Int) -> [Float] {
            var out = ones
            var bits = [UInt8](repeating: 0, count: DropoutMask.byteCount(hidden: 4096))
            mask.apply(hidden: 4096, layer: 0, time: 0, row: row, step: step, to: ones, into: &out, mask: &bits)
            return out
        }
        let first = row(step: 1, row: 0)
        let dropped = first.filter { $0 == 0 }.count
        #expect((1000...1460).contains(dropped))
        #expect(first.allSatisfy { $0 == 0 || abs($0 - 1 / 0.7) < 1e-4 })
        #expect(first == row(step: 1, row: 0))
        #expect(first != row(step: 2, row: 0))
        #expect(first != row(step: 1, row: 1))
    }
}
