import Coordination
import Testing

@Suite("Averages that are read where they lie")
struct LentAveragesTests {
    @Test("An average is not written to before all who read it have applied it, nor ever where one of them is gone")
    func lent() {
        /// Taken up again where nobody holds them.
        var pool: [UInt32] = []
        var made: UInt32 = 0
        var averages: [UInt64: UInt32] = [:]
        var lent = LentAverages<UInt32>()
        /// Of each worker that has a session, the steps that its replica holds.
        var held: [WorkerID: UInt64] = [1: 0, 2: 0]
        func commit(_ step: UInt64) {
            averages[step] = nil
            let abandoned = lent.settle { held[$0] }
            pool.removeAll { abandoned.contains($0) }
        }
        func take() -> UInt32 {
            if let free = pool.first(where: { !averages.values.contains($0) && !lent.averages.contains($0) }) {
                return free
            }
            made += 1
            pool.append(made)
            return made
        }
        func lend(_ step: UInt64, to workers: [WorkerID]) -> UInt32 {
            let average = averages[step] ?? take()
            averages[step] = average
            for worker in workers {
                _ = lent.lend(average, at: SharedPlace(process: 1, descriptor: average, tag: 1), step: step, to: worker)
            }
            return average
        }
        let first = lend(0, to: [1, 2])
        commit(0)
        held[1] = 1
        let second = lend(1, to: [1, 2])
        #expect(second != first)
        commit(1)
        // Worker 2 still reads the first.
        held = [1: 2, 2: 0]
        let third = lend(2, to: [1, 2])
        #expect(third != first && third != second)
        held = [1: 2, 2: 2]
        commit(2)
        #expect([first, second].contains(lend(3, to: [1])))
        // Worker 2 is gone, and may wake up at any time.
        held = [1: 4]
        commit(3)
        var later: Set<UInt32> = []
        for step in UInt64(4)..<9 {
            later.insert(lend(step, to: [1]))
            commit(step)
            held = [1: step + 1]
        }
        #expect(!pool.contains(third) && later == [first, second])
    }
}
