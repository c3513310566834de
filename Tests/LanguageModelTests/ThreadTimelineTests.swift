import Testing

@testable import LanguageModel

@Suite("What compute threads were at")
struct ThreadTimelineTests {
    @Test("Each thread has its jobs, in the order of time and apart; other work is not noted", arguments: [1, 2, 3])
    func jobs(threads: Int) {
        let pool = ComputePool(threads: threads)
        defer { pool.close() }
        let before = ContinuousClock.now
        for phase in [ComputePhase.pack, .forward, .weightGradients] {
            pool.run(phase) { _ in }
            pool.run { _ in }
        }
        pool.run(.backward, tasks: 5) { _, _ in }
        let spans = pool.timeline.spans
        #expect(spans.count == threads)
        for own in spans {
            #expect(own.map(\.phase) == [.pack, .forward, .weightGradients, .backward])
            #expect(own.allSatisfy { $0.from >= before && $0.from <= $0.to && $0.to <= .now })
            #expect(zip(own, own.dropFirst()).allSatisfy { $0.to <= $1.from })
        }
        pool.timeline.clear()
        #expect(pool.timeline.spans.allSatisfy { $0.isEmpty })
    }

    @Test("Jobs of a phase that follow closely are one span, and there are never more than the limit")
    func bounds() {
        let timeline = ThreadTimeline(threads: 1)
        var now = ContinuousClock.now
        timeline.note(.forward, since: now, thread: 0)
        // From before the end of the last span on: surely close.
        timeline.note(.forward, since: now, thread: 0)
        #expect(timeline.spans[0].count == 1)
        timeline.note(.forward, since: now + .seconds(1), thread: 0)
        #expect(timeline.spans[0].count == 2)
        for index in 0..<200 {
            now = .now
            timeline.note(index % 2 == 0 ? .backward : .pack, since: now, thread: 0)
        }
        #expect(timeline.spans[0].count == ThreadTimeline.limit)
    }
}
