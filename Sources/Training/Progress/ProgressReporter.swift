package import Coordination
import Foundation
import LanguageModel

/// Tells the user and the log how a run goes. Used by the coordinator's thread.
package final class ProgressReporter {
    private let configuration: RunConfiguration
    private let printer: ProgressPrinter
    private let log: RunLog
    let monitor: RunMonitor
    private let entropyBound: Double?
    private var best: Double?
    /// The step with the best validation loss, as far as this start has seen it.
    private var bestStep: UInt64?
    private var validation: Double?
    private let started = ContinuousClock.now
    private var firstStep: UInt64
    private var last: StepRecord?
    /// The newest checkpoint that could not be written, unless a later one was.
    package private(set) var missing: (step: UInt64, reason: String)?
    private var exhausted: (step: UInt64, evaluations: Int)?
    /// No further step is trained: what still comes is the end of the recording.
    var isEnding = false

    package init(job: TrainingJob, printer: ProgressPrinter, log: RunLog, monitor: RunMonitor) {
        configuration = job.configuration
        entropyBound = job.entropyBound
        best = job.validations.best
        firstStep = job.step
        self.printer = printer
        self.log = log
        self.monitor = monitor
    }

    /// Tells the terminal, the log and the watchers of something that happened.
    package func event(_ text: String, _ kind: RunSnapshot.Event.Kind = .information) {
        event(LogEvent(kind: kind, text: text))
    }

    func event(_ event: LogEvent) {
        printer.event(event.text)
        log.write(event.text)
        monitor.event(event.text, event.kind)
    }

    /// The same of something that is wrong and ends nothing.
    package func warning(_ text: String) {
        let line = LogEvent.warning(text).text
        printer.event(line, isWarning: true)
        log.write(line)
        monitor.event(text, .warning)
    }

    func recovered(step: UInt64) {
        firstStep = step
        event("the workers kept the state after step \(step): going on from there")
    }

    func committed(_ record: StepRecord) {
        last = record
        let progress = monitor.committed(record)
        printer.update(
            ProgressSnapshot(
                step: record.step, totalSteps: progress.totalSteps, epoch: record.epoch,
                totalEpochs: progress.totalEpochs, loss: record.loss, validationLoss: validation,
                bestValidationLoss: best, entropyBound: entropyBound,
                charactersPerSecond: progress.charactersPerSecond!, remainingSeconds: progress.remainingSeconds,
                workers: record.workers))
    }

    /// Tells what the recorder did or could not do.
    package func recorded(_ report: RecorderReport) {
        monitor.recorded(report)
        switch report {
        case .evaluated(let step, let loss, let best):
            validation = loss
            let isBest = self.best.map { best < $0 } ?? true
            self.best = best
            if isBest { bestStep = step }
            printer.amend {
                $0.validationLoss = loss
                $0.bestValidationLoss = best
            }
            let inBits = fourDecimals(bits(ofNats: loss))
            event(
                "validation at step \(step): \(fourDecimals(loss)) nats, \(inBits) bits a character"
                    + (isBest ? " (best)" : ", best \(fourDecimals(best))"), .evaluation)
        case .checkpointed(let step, let path, _):
            if let failed = missing, failed.step <= step { missing = nil }
            event("checkpoint of step \(step): \(path)", .checkpoint)
        case .checkpointFailed(let step, let reason):
            missing = (step, reason)
            // That of the end fails the run.
            if step < configuration.totalSteps {
                warning("no checkpoint of step \(step): \(reason)" + (isEnding ? "" : "; training goes on"))
            }
        case .metricsFailed(let reason):
            warning(reason + (isEnding ? "" : "; training goes on"))
        case .metricsLost(let lines):
            warning(lines == 1 ? "a line of metrics was lost" : "\(lines) lines of metrics were lost")
        case .metricsOverdue(let lines):
            warning("\(lines) lines of metrics wait for the disk, as many as are kept: the run ends")
        case .exhausted(let step, let evaluations):
            if step < configuration.totalSteps { exhausted = (step, evaluations) }
        case .sampled(let step, let text): event(.sample(.init(step: step, text: text)))
        }
    }

    /// The last words of a run that ended well.
    package func summary(folder: String, resumeCommand: ResumeCommand) {
        printer.finish()
        let sample = "sample from it: lockstep sample \(ResumeCommand.quoted(folder))" + (best == nil ? "" : " --best")
        // Nothing was left but an evaluation.
        guard let last else { return event(sample) }
        let reached = exhausted?.step ?? last.step
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        let characters = Double(reached - firstStep) * Double(configuration.batch * configuration.window)
        var text =
            "done: \(reached - firstStep) steps\(firstStep > 0 ? " to step \(reached)" : "") "
            + "in \(ProgressLine.duration(seconds)), "
            + "\(ProgressLine.grouped(UInt64(characters))) characters, \(Int(characters / seconds)) characters/s, "
            + "loss \(fourDecimals(last.loss))"
        if let exhausted {
            text =
                "stopped early at step \(exhausted.step): no better validation loss in \(exhausted.evaluations) "
                + "evaluations"
        }
        if let best { text += ", best validation \(fourDecimals(best))" }
        if let bestStep { text += " at step \(bestStep)" }
        if let entropyBound { text += " (the text's entropy is \(fourDecimals(entropyBound)))" }
        event(text)
        event(sample)
        // A schedule over all steps allows no more of them.
        if case .cosine(nil, _) = configuration.schedule.kind { return }
        let further = resumeCommand.adding("--steps", "\(last.step * 2)")
        event("train it further: \(exhausted == nil ? further : further.adding("--patience", "0"))")
    }

    /// Ends the line that is drawn in place.
    package func finish() { printer.finish() }
}
