import Checkpoints
import Coordination
import Foundation
import LanguageModel
import Synchronization
import ZeroMQ

/// A coordinator from start to end: what `train` and `coordinator` have in common.
package struct CoordinatorService {
    /// What a command asks of its coordinator.
    package struct Options: Sendable {
        package var settings = CoordinatorSettings()
        package var isQuiet = false
        /// Worker processes to start on this machine.
        package var localWorkers = 0
        /// Compute threads of each of these.
        package var threads = 1
        /// Faults to inject: into these workers too where there are any, else into those that join.
        package var faults = FaultPlan.none

        package init() {}
    }

    private let options: Options
    private let inbox: Inbox<CoordinatorEvent>

    /// - Throws: ``ZeroMQError`` where the system has no descriptor left.
    package init(_ options: Options) throws {
        self.options = options
        inbox = try Inbox()
    }

    /// Stops the run after a checkpoint. From any thread.
    package var interrupt: @Sendable (String) -> Void { { [inbox] in inbox.post(.interrupted($0)) } }

    /// Tells the user, and the log. From any thread.
    package var warn: @Sendable (String) -> Void { { [inbox] in inbox.post(.warned($0)) } }

    /// Trains to the end, or to an interruption.
    ///
    /// - Parameters:
    ///   - folderName: the run folder as the user would write it.
    ///   - resumeCommand: goes on with the run, on this machine or with its workers elsewhere.
    ///   - monitor: told all that happens.
    ///   - notices: lines for the user alone: neither the log nor those who watch get them.
    ///   - warnings: what the user was told before there was a log.
    package func run(
        _ job: TrainingJob, listener: borrowing Listener, folderName: String, resumeCommand: ResumeCommand,
        monitor: RunMonitor, notices: [String] = [], warnings: [String] = []
    ) throws -> CoordinatorLoop.Ending {
        let printer = ProgressPrinter(isQuiet: options.isQuiet)
        let log = RunLog(url: job.folder.log) { printer.event("warning: \($0)", isWarning: true) }
        defer { log.finish() }
        let progress = ProgressReporter(job: job, printer: printer, log: log, monitor: monitor)
        let endpoint = listener.endpoint
        progress.event(Self.introduction(job.configuration, folderName: folderName))
        if job.step > 0 { progress.event("resuming after step \(job.step)") }
        if listener.isOpen { progress.event("listening on \(endpoint)") }
        for notice in notices { printer.event(notice) }
        for warning in warnings {
            log.write(LogEvent.warning(warning).text)
            monitor.event(warning, .warning)
        }
        // For `lockstep status`, which need not find it.
        try? Data((endpoint + "\n").utf8).write(to: job.folder.endpoint, options: .atomic)
        defer { try? FileManager.default.removeItem(at: job.folder.endpoint) }

        let workers = LocalWorkers(
            access: listener.ownAccess, threads: options.threads,
            others: listener.isOpen ? max(0, options.settings.minimumWorkers - options.localWorkers) : nil, inbox: inbox
        )
        let loop = try CoordinatorLoop(
            job: job, settings: options.settings, inbox: inbox, progress: progress,
            onBan: { workers.abandon(name: $0) },
            onAbsence: { name in
                guard workers.replace(name: name) else { return }
                progress.warning("worker \(name) does not come back: its process is killed, and started again")
            }, startRecorder: { try startRecorder($0, $1, progress) })
        listener.admission.report { [inbox] in inbox.post(.noted($0)) }
        defer { workers.end() }
        if options.localWorkers > 0 {
            try workers.start(count: options.localWorkers, faults: options.faults)
        } else {
            loop.faults.plan = options.faults
        }

        var result: Result<CoordinatorLoop.Ending, any Error>
        do { result = .success(try loop.run(socket: listener.socket, admission: listener.admission)) } catch {
            result = .failure(error)
        }
        var isHurried = true
        if case .success(.finished) = result { isHurried = false }
        progress.isEnding = true
        loop.finishRecording(hurried: isHurried)
        for event in inbox.drain() {
            switch event {
            case .recorded(let report): progress.recorded(report)
            case .warned(let text): progress.warning(text)
            default: break
            }
        }
        if let missing = progress.missing, case .success = result {
            result = .failure(
                CoordinatorLoop.Failure(
                    description: "step \(missing.step) is the last, and its checkpoint could not be written: "
                        + "\(missing.reason); "
                        + (job.folder.holdsRun
                            ? "then"
                            : "there is no run.json in \(folderName) any more: begin a new run, or put it back and")
                        + " repeat the lost steps with \(resumeCommand)"))
        }
        monitor.ended(Self.state(after: result))
        for case .warned(let text) in inbox.drain() { progress.warning(text) }
        sayEnding(result, after: loop.step, folderName, resumeCommand, progress, log)
        return try result.get()
    }

    private static func introduction(_ configuration: RunConfiguration, folderName: String) -> String {
        "\(configuration.corpus.name): \(configuration.corpus.characters) characters, "
            + "\(configuration.model.vocabulary) distinct; \(configuration.layout.count) parameters; "
            + "\(configuration.stepsPerEpoch) steps an epoch; run folder \(folderName)"
    }

    /// Opens the files of a run that goes on from the job's state.
    ///
    /// - Parameter records: of steps whose lines are missing, which come first.
    private func startRecorder(
        _ job: TrainingJob, _ records: [StepRecord], _ progress: ProgressReporter
    ) throws -> Recorder {
        let metrics = try MetricsWriter(url: job.folder.metrics, resumingAt: job.step == 0 ? nil : job.step)
        if metrics.strangers > 0 {
            progress.warning(
                "\(job.folder.metrics.path): \(metrics.strangers) lines are not those of steps in order, and are left out: "
                    + "the file as it was is \(metrics.old.lastPathComponent)")
        }
        var events = Self.eventFile(job) { progress.warning($0) }
        for record in records {
            try metrics.append(record)
            events?.append(record)
        }
        if job.step > 0 { progress.monitor.began(after: job.step, folder: job.folder) }
        let store = CheckpointStore(folder: job.folder.checkpoints)
        return Recorder(job: job, store: store, metrics: metrics, events: events) { [inbox] in
            inbox.post(.recorded($0))
        }
    }

    private func sayEnding(
        _ result: Result<CoordinatorLoop.Ending, any Error>, after step: UInt64, _ folderName: String,
        _ resumeCommand: ResumeCommand, _ progress: ProgressReporter, _ log: RunLog
    ) {
        switch result {
        case .success(.finished): progress.summary(folder: folderName, resumeCommand: resumeCommand)
        case .success(.interrupted(let signal)):
            progress.finish()
            progress.event("stopped by \(signal) after step \(step)")
            progress.event("resume with: \(resumeCommand)")
        case .failure(let error):
            progress.finish()
            log.write("failed: \(error)")
        }
    }

    private static func state(after result: Result<CoordinatorLoop.Ending, any Error>) -> RunSnapshot.State {
        switch result {
        case .success(.finished): .finished
        case .success(.interrupted): .interrupted
        case .failure: .failed
        }
    }

    /// Without its event file a run goes on.
    private static func eventFile(_ job: TrainingJob, warn: (String) -> Void) -> EventFileWriter? {
        do {
            return try EventFileWriter(folder: job.folder.url, resumingAt: job.step == 0 ? nil : job.step)
        } catch {
            warn("\(error); there will be no TensorBoard file of this start")
            return nil
        }
    }
}
