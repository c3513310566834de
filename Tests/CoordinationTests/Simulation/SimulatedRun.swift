import Coordination

/// What a run is, and what is left of it on disk when its coordinator dies.
struct SimulatedRun: Hashable {
    struct Line: Hashable {
        var digest: UInt64
        var loss: UInt64
    }

    struct Checkpoint: Hashable {
        var step: UInt64
        var replica: FakeReplica
        var carries: [UInt64]
        /// Of its own step, where that was evaluated.
        var validation: Double?
        /// That of the lowest validation loss, of all that were written so far.
        var best: Best?
    }

    struct Best: Hashable {
        var step: UInt64
        var loss: Double
    }

    var number: UInt64 = 77
    var shards = 8
    var chunks = 3
    var snapshotParts = 3
    var steps: UInt64 = 6
    /// Steps in an epoch.
    var period: UInt64 = 4
    var auditsPerMillion: UInt64 = 0
    var credits: UInt64 = 8
    /// A checkpoint after each so many steps; 0 for none.
    var checkpointEvery: UInt64 = 2
    /// Of the held-out text.
    var segments = 0
    /// An evaluation after each so many steps, and after the last.
    var evaluateEvery: UInt64 = 1
    /// Evaluations without a better loss after which the run ends.
    var patience: Int?

    // On disk.
    var term: UInt64 = 0
    /// `metrics.jsonl`: the line of step `n` is at `n - 1`.
    var lines: [Line] = []
    /// The losses in these lines.
    var validations: [UInt64: Double] = [:]
    var checkpoint: Checkpoint
    /// What was the newest before, since the coordinator's start.
    var earlierCheckpoints: [Checkpoint] = []

    init(shards: Int = 8) {
        self.shards = shards
        checkpoint = Checkpoint(step: 0, replica: FakeReplica(), carries: Array(repeating: 0, count: shards))
    }

    func evaluates(after step: UInt64) -> Bool {
        segments > 0 && step > 0 && (step % evaluateEvery == 0 || step == steps)
    }

    /// The step of the first evaluation that is to be made, from the checkpoint's own on.
    var pendingEvaluation: UInt64? {
        var search = EvaluationSearch(
            checkpoint: checkpoint.step, keepsLoss: checkpoint.validation != nil, patience: patience,
            nextDue: { first in first <= steps ? (first...steps).first { evaluates(after: $0) } : nil })
        for step in lines.indices.map({ UInt64($0 + 1) }) { search.add(step: step, loss: validations[step]) }
        return search.pending
    }

    /// Of the evaluations up to a step.
    func validationHistory(upTo step: UInt64) -> ValidationHistory {
        ValidationHistory(validations.filter { $0.key <= step }.sorted { $0.key < $1.key }.map(\.value))
    }

    func isExhausted(_ validations: ValidationHistory) -> Bool {
        patience.map { validations.stale >= $0 } ?? false
    }

    /// Forgets what comes after a line.
    mutating func cut(after step: UInt64) {
        lines.removeLast(max(0, lines.count - Int(step)))
        validations = validations.filter { $0.key <= step }
    }

    var configuration: CoordinatorMachine.Configuration {
        var configuration = CoordinatorMachine.Configuration(
            run: number, shards: shards, chunks: chunks, snapshotParts: snapshotParts, totalSteps: steps,
            carryPeriod: period)
        configuration.silenceLimit = 1_000_000_000
        // No worker here is heard for so long and does not join.
        configuration.joinLimit = 1_500_000_000
        configuration.credits = credits
        configuration.auditsPerMillion = auditsPerMillion
        configuration.term = term
        configuration.segments = segments
        configuration.segmentsPerLease = 2
        return configuration
    }
}
