/// What a run counts for `/metrics`, since this start of the coordinator.
package struct RunCounters: Sendable {
    package static let phases = ["awaiting_lease", "forward", "backward", "sending", "awaiting_commit", "update"]

    package private(set) var steps: UInt64 = 0
    package private(set) var characters = 0.0
    package var workersJoined: UInt64 = 0
    package var workersLost: UInt64 = 0
    package var checkpoints: UInt64 = 0
    package private(set) var stepSeconds = Histogram()
    /// In the order of ``phases``; each worker's step counts.
    package private(set) var phaseSeconds = Array(repeating: Histogram(), count: phases.count)

    package init() {}

    /// Counts a committed step: the seconds since the one before, and the characters of its batch.
    package mutating func committed(seconds: Double, characters: Double) {
        steps += 1
        self.characters += characters
        stepSeconds.add(seconds)
    }

    /// Counts where one worker's time went in a step, in seconds.
    package mutating func worked(_ work: RunSnapshot.Step.Work) {
        for (index, seconds) in work.phases.enumerated() { phaseSeconds[index].add(seconds) }
    }
}

extension RunSnapshot.Step.Work {
    /// Seconds, in the order of ``RunCounters/phases`` and of time.
    package var phases: [Double] { [awaitingLease, forward, backward, sending, awaitingCommit, update] }
}
