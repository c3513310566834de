import ArgumentParser
import Training

struct CoordinatorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator",
        abstract: "The coordinator alone: workers of this and other hosts connect to it.",
        discussion: """
            Every flag may come from the environment as LOCKSTEP_<FLAG>, such as LOCKSTEP_LISTEN. Workers may start \
            before or after it, and come and go while it trains. Ctrl-C ends them too; SIGTERM, which service managers \
            send, leaves them waiting for the next start with --resume.
            """)

    @OptionGroup var options: RunOptions
    private static let usualAddress = "tcp://127.0.0.1:5757"
    @Option(help: "Where to listen: tcp://HOST:PORT (port 0 picks one) or ipc://PATH.") var listen = Self.usualAddress
    @OptionGroup var access: AccessOptions
    @Option(help: "Workers that the first step waits for.") var minimumWorkers = 1
    @OptionGroup(title: "Supervision of workers") var supervision: SupervisionOptions
    @OptionGroup(title: "Watching") var watching: WatchingOptions
    @Option(
        help: """
            Faults to inject into workers, for tests, such as kill@step=5,worker=1,phase=backward. step=5 is the \
            sixth: 5 are committed. worker=1 is the first that joins since this start. Who joins after a worker was lost \
            gets none.
            """)
    var inject: String?

    func run() throws {
        var service = CoordinatorService.Options()
        service.settings = supervision.settings
        service.settings.minimumWorkers = minimumWorkers
        service.settings.seeksWorkers = options.basics.resume
        service.settings.keepsWorkers = true
        try service.settings.validate()
        service.faults = try FaultPlan(inject ?? "")
        try CoordinatorRun.run(
            "coordinator", options, service, watching, listen: listen, access,
            resumeFlags: CoordinatorRun.words("--minimum-workers", minimumWorkers, usually: 1) + supervision.words)
    }
}
