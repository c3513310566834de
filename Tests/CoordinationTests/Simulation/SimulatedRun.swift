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
    /// An evaluation after each so many steps.
    var evaluateEvery: UInt64 = 1

    // On disk.
    var term: UInt64 = 0
    /// `metrics.jsonl`: the line of step `n` is at `n - 1`.
    var lines: [Line] = []
    var checkpoint: Checkpoint
    var previousCheckpoint: Checkpoint?

    init(shards: Int = 8) {
        self.shards = shards
        checkpoint = Checkpoint(step: 0, replica: FakeReplica(), carries: Array(repeating: 0, count: shards))
    }

    func evaluates(after step: UInt64) -> Bool { segments > 0 && step > 0 && step % evaluateEvery == 0 }

    var configuration: CoordinatorMachine.Configuration {
        var configuration = CoordinatorMachine.Configuration(
            run: number, shards: shards, chunks: chunks, snapshotParts: snapshotParts, totalSteps: steps,
            carryPeriod: period)
        configuration.silenceLimit = 1_000_000_000
        configuration.credits = credits
        configuration.auditsPerMillion = auditsPerMillion
        configuration.term = term
        configuration.segments = segments
        configuration.segmentsPerLease = 2
        return configuration
    }
}
