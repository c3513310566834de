import ArgumentParser
import Foundation
import Training

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train on this machine: a coordinator and worker processes.",
        discussion: """
            Without CORPUS a new run uses the text of --config, or the built-in demo text. The number of workers and \
            threads never changes a bit of the result: choose them for speed. Ctrl-C writes a checkpoint; --resume goes \
            on from it.
            """)

    @OptionGroup var options: RunOptions
    private static let usualWorkers = 2
    @Option(help: "Worker processes.") var workers = Self.usualWorkers
    @Option(help: "Threads of each worker. (default: the cores, shared among the workers)") var threads: Int?
    @Option(help: "Workers that the first step waits for. (default: all)") var minimumWorkers: Int?
    @Option(help: "Where the coordinator listens: ipc://PATH or tcp://127.0.0.1:PORT. (default: a private socket)")
    var listen: String?
    @Option(help: "Write the address to this file.") var endpointFile: String?
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
        guard minimumWorkers.map({ (1...workers).contains($0) }) ?? true else {
            throw ValidationError("--minimum-workers must be from 1 to \(workers), the number of --workers")
        }
    }

    func run() throws {
        if let listen, try CoordinatorRun.isExposed(listen) {
            throw UsageError(
                "\(listen) is open to other machines: train stays on this one, so listen on 127.0.0.1, or use lockstep "
                    + "coordinator")
        }
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
            "train", options, service, watching, listen: listen, endpointFile: endpointFile,
            resumeFlags: CoordinatorRun.words("--workers", workers, usually: Self.usualWorkers)
                + CoordinatorRun.words("--threads", threads)
                + CoordinatorRun.words("--minimum-workers", minimumWorkers, usually: workers) + supervision.words)
    }
}
