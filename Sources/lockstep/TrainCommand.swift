import ArgumentParser
import Foundation
import Training

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train on this machine: a coordinator and worker processes. Other hosts' may join.",
        discussion: """
            Without CORPUS a new run uses the text of --config, or the built-in demo text. The number of workers and \
            threads never changes a bit of the result: choose them for speed. Ctrl-C writes a checkpoint; --resume goes \
            on from it.

            With --listen tcp://0.0.0.0:5757 --keys cluster/coordinator workers of other hosts may join the ones that \
            it starts, come and go. They end with it, as its own do.
            """)

    @OptionGroup var options: RunOptions
    private static let usualWorkers = 2
    @Option(help: "Worker processes.") var workers = Self.usualWorkers
    @Option(help: "Threads of each worker. (default: the cores, shared among the workers)") var threads: Int?
    @Option(help: "Workers that the first step waits for: with --listen also others. (default: --workers)")
    var minimumWorkers: Int?
    @Option(
        help: """
            Where workers that others start may join: tcp://HOST:PORT (port 0 picks one) or ipc://PATH. (default: a \
            private socket, for its own alone)
            """)
    var listen: String?
    @OptionGroup var access: AccessOptions
    @Option(
        help: """
            Faults to inject into workers, for tests, such as kill@step=5,worker=1,phase=backward. step=5 is the sixth: \
            5 are committed. worker=1 is the one named w1. A worker that is started again gets none.
            """)
    var inject: String?
    @OptionGroup(title: "Supervision of workers") var supervision: SupervisionOptions
    @OptionGroup(title: "Watching") var watching: WatchingOptions

    func validate() throws {
        guard (1...256).contains(workers) else { throw ValidationError("--workers must be from 1 to 256") }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads must be from 1 to 1024")
        }
        guard minimumWorkers.map({ (1...workers).contains($0) }) ?? true || listen != nil else {
            throw ValidationError(
                "--minimum-workers must be from 1 to \(workers), the number of --workers: others join with --listen")
        }
        guard access.keys == nil || listen != nil else {
            throw ValidationError("--keys needs --listen: without an address no worker but its own can join")
        }
    }

    func run() throws {
        var service = CoordinatorService.Options()
        service.settings = supervision.settings
        service.settings.minimumWorkers = minimumWorkers ?? workers
        try service.settings.validate()
        service.faults = try FaultPlan(inject ?? "")
        if let number = service.faults.highestWorker, number > workers {
            throw UsageError("--inject cannot strike worker=\(number): there are --workers \(workers)")
        }
        service.localWorkers = workers
        service.threads = threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / workers)
        try CoordinatorRun.run(
            "train", options, service, watching, listen: listen, access,
            resumeFlags: CoordinatorRun.words("--workers", workers, usually: Self.usualWorkers)
                + CoordinatorRun.words("--threads", threads)
                + CoordinatorRun.words("--minimum-workers", minimumWorkers, usually: workers) + supervision.words)
    }
}
