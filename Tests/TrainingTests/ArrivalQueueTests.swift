import Testing

@testable import Training

@Suite("The queue in front of a link") struct ArrivalQueueTests {
    private func passed(_ senders: [[(ready: Double, seconds: Double)]], limit: Double = .infinity) -> [[Double]] {
        var queue = ArrivalQueue(senders: senders, limit: limit)
        return queue.run().map { $0.map { ($0 * 1e6).rounded() / 1e6 } }
    }

    @Test("One sender is never in its own way")
    func alone() {
        #expect(passed([[(0, 1), (0, 2), (5, 1)]]) == [[1, 3, 6]])
    }

    @Test("Who begins later waits for all that came before")
    func order() {
        // At 1 the second begins; the first has sent half, and sends the rest beside it until 2.
        #expect(passed([[(0, 2)], [(1, 2)]]) == [[3], [4]])
        // Nobody waits for one who begins when all is through.
        #expect(passed([[(0, 2)], [(3, 2)]]) == [[2], [5]])
    }

    @Test("Equal ones are through together, first messages first")
    func together() {
        #expect(passed([[(0, 1), (0, 1)], [(0, 1), (0, 1)], [(0, 1), (0, 1)]]) == [[3, 6], [3, 6], [3, 6]])
    }

    @Test("Senders share the link evenly when no more may wait, so late ones' first messages come sooner")
    func full() {
        func messages(from time: Double) -> [(ready: Double, seconds: Double)] {
            Array(repeating: (time, 1), count: 8)
        }
        let senders = [messages(from: 0), messages(from: 0), messages(from: 4)]
        let deep = passed(senders)
        let shallow = passed(senders, limit: 0.5)
        // At 4 as much waits as two have sent beyond what the link took, and 2 more come while the third sends its first.
        #expect(deep[2][0] == 5 + 4 + 2)
        // Or only so much as may, and the third has a third of the link.
        #expect(shallow[2][0] == 4 + 3 + 0.5)
        // The link is never idle while there is something to carry.
        #expect(deep.map(\.last!).max() == 24 && shallow.map(\.last!).max() == 24)
    }
}
