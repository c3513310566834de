import Testing

@testable import Coordination

@Suite("Which evaluation a restarted coordinator has to make first")
struct EvaluationSearchTests {
    /// Of lines 1...`lines`, with these losses; evaluations come after every second step.
    private func pending(
        lines: UInt64, _ losses: [UInt64: Double], checkpoint: UInt64, keepsLoss: Bool = true, patience: Int? = nil
    ) -> UInt64? {
        var search = EvaluationSearch(
            checkpoint: checkpoint, keepsLoss: keepsLoss, patience: patience,
            nextDue: { $0 <= 20 ? ($0 + 1) / 2 * 2 : nil })
        for step in 1...lines { search.add(step: step, loss: losses[step]) }
        return search.pending
    }

    @Test("Where all is on record, it is the next one")
    func complete() {
        #expect(pending(lines: 5, [2: 3, 4: 2], checkpoint: 4) == 6)
        #expect(pending(lines: 20, [2: 1, 4: 2, 6: 2, 8: 2, 20: 2], checkpoint: 20) == nil)
    }

    @Test("A loss that is missing, in the line or with it")
    func missing() {
        #expect(pending(lines: 7, [2: 1, 6: 3], checkpoint: 2) == 4)
        #expect(pending(lines: 3, [2: 1], checkpoint: 2) == 4)
        // Also that of the checkpoint itself, but none from before it.
        #expect(pending(lines: 5, [2: 1], checkpoint: 4) == 4)
        #expect(pending(lines: 5, [4: 1], checkpoint: 4) == 6)
        var search = EvaluationSearch(checkpoint: 2, keepsLoss: true, patience: nil, nextDue: { ($0 + 1) / 2 * 2 })
        for step: UInt64 in [1, 2, 5, 6] { search.add(step: step, loss: [2: 1, 6: 0.5][step]) }
        #expect(search.pending == 4)
    }

    @Test("One whose state is the best, and in no checkpoint")
    func best() {
        #expect(pending(lines: 9, [2: 3, 4: 4, 6: 2, 8: 1], checkpoint: 2) == 6)
        #expect(pending(lines: 9, [2: 3, 4: 3, 6: 3, 8: 3], checkpoint: 2) == 10)
        #expect(pending(lines: 9, [2: 3, 4: 4, 6: 5, 8: 6], checkpoint: 2, keepsLoss: false) == 2)
        #expect(pending(lines: 5, [2: 3, 4: 4], checkpoint: 4, keepsLoss: false) == 6)
    }

    @Test("One that ends the run by its patience, unless its checkpoint stands")
    func exhausted() {
        let losses: [UInt64: Double] = [2: 3, 4: 4, 6: 4, 8: 4]
        #expect(pending(lines: 9, losses, checkpoint: 2, patience: 2) == 6)
        #expect(pending(lines: 9, losses, checkpoint: 4, patience: 2) == 6)
        #expect(pending(lines: 6, losses, checkpoint: 6, patience: 2) == 8)
    }

    @Test("Where a clock asks for evaluations, those on record count, and the last one")
    func clock() {
        var search = EvaluationSearch(checkpoint: 2, keepsLoss: true, patience: 2, nextDue: { $0 <= 20 ? 20 : nil })
        for (step, loss) in [(1, nil), (2, 1.0), (3, nil), (5, 2)] as [(UInt64, Double?)] {
            search.add(step: step, loss: loss)
        }
        #expect(search.pending == 20)
        search.add(step: 7, loss: 2)
        #expect(search.pending == 7)
    }

    @Test("What a resume recalls is the lowest loss and the evaluations since")
    func recall() {
        #expect(ValidationHistory([]) == ValidationHistory(best: nil, stale: 0))
        #expect(ValidationHistory([3]) == ValidationHistory(best: 3, stale: 0))
        #expect(ValidationHistory([3, 2, 2, 4]) == ValidationHistory(best: 2, stale: 2))
        #expect(ValidationHistory([1, 2, 3]) == ValidationHistory(best: 1, stale: 2))
    }
}
