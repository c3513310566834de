/// How a coordinator deals with its workers. Never changes a bit of the result.
package struct CoordinatorSettings: Sendable, Equatable {
    /// Workers that the first step waits for.
    package var minimumWorkers = 1
    /// Seconds of silence after which a worker is lost.
    package var workerTimeout = 1.5
    /// Seconds between words of either side that has nothing else to say.
    package var heartbeat = 0.25
    /// The share of steps in which a shard is computed by a second worker too, and compared.
    package var audit = 0.0
    /// Whether workers of an earlier start may still be there, with state that is newer than the checkpoint.
    package var seeksWorkers = false

    /// Whether workers are to wait for the next start when SIGTERM stops this one: a service manager starts it again.
    package var keepsWorkers = false

    package init() {}

    /// - Throws: ``UsageError`` naming the value that cannot be, and its bounds.
    package func validate() throws(UsageError) {
        func require(_ condition: Bool, _ message: String) throws(UsageError) {
            if !condition { throw UsageError(message) }
        }
        try require((1...1024).contains(minimumWorkers), "--minimum-workers must be from 1 to 1024")
        try require((0.5...3600).contains(workerTimeout), "--worker-timeout must be from 0.5 to 3600 seconds")
        try require(
            heartbeat >= 0.02 && heartbeat <= workerTimeout / 3,
            "--heartbeat must be at least 0.02 seconds and at most a third of --worker-timeout")
        try require((0...1).contains(audit), "--audit must be from 0 to 1, a share of the steps")
        try require(audit == 0 || audit >= 1e-6, "--audit must be 0 (none) or from 0.000001, one step in a million")
    }
}
