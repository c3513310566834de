import ArgumentParser
import Training

/// How the coordinator watches its workers.
struct WatchOptions: ParsableArguments {
    @Option(help: "Seconds of silence after which a worker is lost.") var workerTimeout = 1.5
    @Option(help: "Seconds between words of either side that has nothing else to say.") var heartbeat = 0.25
    @Option(
        help: """
            The share of steps, from 0 to 1, in which a shard is computed by a second worker too and compared bit for \
            bit. A worker that computes wrongly is found and refused.
            """)
    var audit = 0.0

    var settings: CoordinatorSettings {
        var settings = CoordinatorSettings()
        settings.workerTimeout = workerTimeout
        settings.heartbeat = heartbeat
        settings.audit = audit
        return settings
    }
}
