import Coordination
import Testing

@testable import Training

@Suite("Carries")
struct CarryTests {
    @Test("A worker keeps the newest two carries of a shard, and offers those around its replica's step")
    func shelf() {
        var shelf = CarryShelf()
        for step: UInt64 in 1...3 { shelf.keep([Float(step)], shard: 0, step: step) }
        shelf.keep([7], shard: 4, step: 2)
        #expect((1...3).map { shelf.values(shard: 0, step: $0) } == [nil, [2], [3]])
        // Computed again, it takes the place of the one before and of no other.
        shelf.keep([9], shard: 0, step: 3)
        #expect((1...3).map { shelf.values(shard: 0, step: $0) } == [nil, [2], [9]])
        #expect(shelf.offer(around: 2) == [.init(step: 2, shards: [0, 4]), .init(step: 3, shards: [0])])
        #expect(shelf.offer(around: 3) == [.init(step: 2, shards: [0, 4]), .init(step: 3, shards: [0])])
        #expect(shelf.offer(around: 5).isEmpty)
        #expect(CarryShelf().offer(around: 0).isEmpty)
    }

    @Test("A step's carries count from its commit on")
    func store() {
        var store = CarryStore(shards: 2, shardFloats: 2)
        for (shard, values) in [(1, [3, 4]), (0, [1, 2])] as [(Int, [Float])] {
            values.withUnsafeBytes { store.accept(shard: shard, bytes: $0) }
            #expect(store.committed == [0, 0, 0, 0])
        }
        store.commit()
        #expect(store.committed == [1, 2, 3, 4] && Array(store.shard(1)) == [3, 4])
    }
}
