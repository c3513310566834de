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
    @Option(help: "Write the address to this file.") var endpointFile: String?
    @Option(help: "Seconds of silence after which a worker is lost. (default: 3)") var workerTimeout = 3.0
    @Flag(help: "Listen beyond this machine without authentication. Only on a network that you trust.")
    var insecure = false

    func validate() throws {
        guard (1...1024).contains(minimumWorkers) else {
            throw ValidationError("--minimum-workers must be from 1 to 1024")
        }
        guard workerTimeout >= 0.5 else { throw ValidationError("--worker-timeout must be 0.5 or more") }
    }

    func run() throws {
        try CoordinatorRun.checkExposure(listen, insecure: insecure)
        var service = CoordinatorService.Options()
        service.minimumWorkers = minimumWorkers
        service.workerTimeout = workerTimeout
        try CoordinatorRun.run(options, service, listen: listen, endpointFile: endpointFile)
    }
}
