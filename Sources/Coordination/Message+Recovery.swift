// What workers offer and hand over to a coordinator that was started again.

/// A replica that a worker still holds from an earlier session, and what else it could hand over.
package struct Offer: Hashable, Sendable {
    /// The shards whose carry into a step it has.
    package struct Carries: Hashable, Sendable {
        /// The step that the carry leads into.
        package var step: UInt64
        /// Ascending.
        package var shards: [UInt32]

        package init(step: UInt64, shards: [UInt32]) {
            self.step = step
            self.shards = shards
        }
    }
    /// How many steps the replica holds.
    package var step: UInt64
    /// Of the parameters, and of the optimizer's state.
    package var digest: UInt64
    package var stateDigest: UInt64
    package var carries: [Carries]
    /// The oldest step, counted from 1 as in ``Applied``, whose record it has; every one since is there.
    package var historyFrom: UInt64

    package init(step: UInt64, digest: UInt64, stateDigest: UInt64, carries: [Carries], historyFrom: UInt64) {
        self.step = step
        self.digest = digest
        self.stateDigest = stateDigest
        self.carries = carries
        self.historyFrom = historyFrom
    }
}

/// A coordinator that was started again asks for what a worker offered.
package struct Recall: Hashable, Sendable {
    /// How many steps the state holds that is taken over.
    package var step: UInt64
    /// Send the whole replica, as the parts of a snapshot, and the history.
    package var wantsReplica: Bool
    /// Send these shards' carry into the step.
    package var shards: [UInt32]
    /// The first record that is missing.
    package var historyFrom: UInt64

    package init(step: UInt64, wantsReplica: Bool, shards: [UInt32], historyFrom: UInt64) {
        self.step = step
        self.wantsReplica = wantsReplica
        self.shards = shards
        self.historyFrom = historyFrom
    }
}

/// A carry that was recalled.
package struct CarryPart: Hashable, Sendable {
    /// The step that it leads into.
    package var step: UInt64
    package var shard: UInt32

    package init(step: UInt64, shard: UInt32) {
        self.step = step
        self.shard = shard
    }
}

/// What a worker keeps of a step, as its line in `metrics.jsonl` has it.
package struct HistoryRecord: Hashable, Sendable {
    /// Steps that the replica held after it.
    package var step: UInt64
    /// Of a Double.
    package var learningRateBits: UInt64
    /// Of the replica's parameters after the step.
    package var digest: UInt64
    package var facts: StepFacts

    package init(step: UInt64, learningRateBits: UInt64, digest: UInt64, facts: StepFacts) {
        self.step = step
        self.learningRateBits = learningRateBits
        self.digest = digest
        self.facts = facts
    }

    /// Whether the numbers can stand in a file: they come from a peer.
    var isSound: Bool {
        Double(bitPattern: facts.lossBits).isFinite && Double(bitPattern: facts.gradientNormBits).isFinite
            && Double(bitPattern: learningRateBits).isFinite
    }
}
