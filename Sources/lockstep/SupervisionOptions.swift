import ArgumentParser
import Training

/// How the coordinator supervises its workers.
struct SupervisionOptions: ParsableArguments {
    @Option(help: "Seconds of silence after which a worker is lost.")
    var workerTimeout = CoordinatorSettings().workerTimeout
    @Option(help: "Seconds between words of either side that has nothing else to say.")
    var heartbeat = CoordinatorSettings().heartbeat
    @Option(
        help: """
            The share of steps, from 0 to 1, in which a shard is computed by a second worker too and compared bit for \
            bit. A worker that computes wrongly is found and refused.
            """)
    var audit = CoordinatorSettings().audit

    /// The flags that were given, for a resume.
    var words: [String] {
        let usual = CoordinatorSettings()
        return CoordinatorRun.words("--worker-timeout", workerTimeout, usually: usual.workerTimeout)
            + CoordinatorRun.words("--heartbeat", heartbeat, usually: usual.heartbeat)
            + CoordinatorRun.words("--audit", audit, usually: usual.audit)
    }

    var settings: CoordinatorSettings {
        var settings = CoordinatorSettings()
        settings.workerTimeout = workerTimeout
        settings.heartbeat = heartbeat
        settings.audit = audit
        return settings
    }
}
