import ArgumentParser
import Training

struct CoordinatorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator",
        abstract: "The coordinator alone: workers of this and other hosts connect to it.",
        discussion: """
            Every flag may come from the environment as LOCKSTEP_<FLAG>, such as LOCKSTEP_LISTEN. Workers may start \
            before or after it, and come and go while it trains.
            """)

    @OptionGroup var options: RunOptions
    @Option(help: "Where to listen: tcp://HOST:PORT (port 0 picks one) or ipc://PATH.")
    var listen = "tcp://127.0.0.1:5757"
    @Option(help: "Workers that the first step waits for.") var minimumWorkers = 1
    @OptionGroup var watch: WatchOptions
    @OptionGroup var watching: WatchingOptions
    @Option(help: "Write the address to this file.") var endpointFile: String?
    @Flag(help: "Listen beyond this machine without authentication. Only on a network that you trust.")
    var insecure = false

    func run() throws {
        try CoordinatorRun.checkExposure(listen, insecure: insecure)
        var service = CoordinatorService.Options()
        service.settings = watch.settings
        service.settings.minimumWorkers = minimumWorkers
        service.settings.seeksWorkers = options.resume
        try service.settings.validate()
        try CoordinatorRun.run(options, service, watching, listen: listen, endpointFile: endpointFile)
    }
}
