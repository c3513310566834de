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
    @Option(help: "Workers that the first step waits for.") var minimumWorkers = 1
    @OptionGroup(title: "Supervision of workers") var supervision: SupervisionOptions
    @OptionGroup(title: "Watching") var watching: WatchingOptions
    @Option(help: "Write the address to this file.") var endpointFile: String?
    @Option(help: "The folder of the coordinator's keys, from lockstep keys. Only workers with allowed keys get in.")
    var keys: String?
    @Option(help: "The file of the workers' public keys; read again when it changes. (default: allow in --keys)")
    var allow: String?
    @Flag(help: "Listen beyond this machine without authentication. Only on a network that you trust.")
    var insecure = false
    @Option(
        help: """
            Faults to inject into workers, for tests, such as kill@step=5,worker=1,phase=backward. step=5 is the \
            sixth: 5 are committed. worker=1 is the first that joins since this start. Who joins after a worker was lost \
            gets none.
            """)
    var inject: String?

    func validate() throws {
        guard keys != nil || allow == nil else {
            throw ValidationError("--allow needs --keys: without keys nobody can be told from another")
        }
        guard keys == nil || !insecure else {
            throw ValidationError("--insecure is for a coordinator without keys: leave it out, or --keys")
        }
    }

    func run() throws {
        let warnings = try CoordinatorRun.checkExposure(listen, hasKeys: keys != nil, insecure: insecure)
        let admitted = try keys.map { try Admission.Keys(folder: KeyFolder($0), allow: allow) }
        var service = CoordinatorService.Options()
        service.settings = supervision.settings
        service.settings.minimumWorkers = minimumWorkers
        service.settings.seeksWorkers = options.basics.resume
        service.settings.keepsWorkers = true
        try service.settings.validate()
        service.faults = try FaultPlan(inject ?? "")
        try CoordinatorRun.run(
            "coordinator", options, service, watching, listen: listen, keys: admitted, endpointFile: endpointFile,
            resumeFlags: CoordinatorRun.words("--minimum-workers", minimumWorkers, usually: 1)
                + CoordinatorRun.words("--keys", keys) + CoordinatorRun.words("--allow", allow)
                + (insecure ? ["--insecure"] : []) + supervision.words, warnings: warnings)
    }
}
