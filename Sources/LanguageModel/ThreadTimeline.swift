/// What a compute thread of a gradient engine is at.
package enum ComputePhase: Sendable {
    case pack, forward, backward, weightGradients
}

/// When each thread of a ``ComputePool`` was at what, since it was last cleared: so that a trace shows who waited for whom.
///
/// Two looks at the clock for each job and thread, some fifty in a step. What comes after ``limit`` is left out.
package final class ThreadTimeline: @unchecked Sendable {
    // @unchecked: a thread writes its own lane only, and all are read and cleared between the pool's jobs.
    package struct Span: Sendable, Equatable {
        package var phase: ComputePhase
        package var from: ContinuousClock.Instant
        package var to: ContinuousClock.Instant

        package init(phase: ComputePhase, from: ContinuousClock.Instant, to: ContinuousClock.Instant) {
            self.phase = phase
            self.from = from
            self.to = to
        }
    }

    private final class Lane {
        var spans: [Span] = []
    }

    /// Spans of a thread at most: a step of eight layers has some twenty.
    package static let limit = 63
    /// Jobs of one phase that follow closer than this are one span.
    private static let gap = Duration.microseconds(20)

    private let lanes: [Lane]

    init(threads: Int) { lanes = (0..<threads).map { _ in Lane() } }

    /// By thread, each in the order of time.
    package var spans: [[Span]] { lanes.map(\.spans) }

    func clear() {
        for lane in lanes { lane.spans.removeAll(keepingCapacity: true) }
    }

    /// The thread was at `phase` from then until now.
    func note(_ phase: ComputePhase, since from: ContinuousClock.Instant, thread: Int) {
        let lane = lanes[thread]
        let now = ContinuousClock.now
        if let last = lane.spans.last, last.phase == phase, from - last.to < Self.gap {
            lane.spans[lane.spans.count - 1].to = now
        } else if lane.spans.count < Self.limit {
            lane.spans.append(Span(phase: phase, from: from, to: now))
        }
    }
}
