import Checkpoints
package import Coordination
import Corpus
import Foundation

/// A run as its folder tells it, where nobody trains: for looking back and for comparing runs.
package struct FinishedRun: Sendable {
    package let snapshot: RunSnapshot
    package let curve: Curve

    /// - Parameter path: of the run folder, as the user writes it.
    /// - Throws: ``RunFolderError`` or ``ConfigurationError`` where the folder holds no run.
    package init(path: String) throws {
        let folder = try RunFolder.open(path)
        let configuration = try RunPreparation.configuration(at: folder.configuration)
        var curve = Curve()
        var last: StepRecord?
        var best: (step: UInt64, loss: Double)?
        var losses: [UInt64: Double] = [:]
        MetricsReader.read(folder.metrics) { record, validation in
            curve.append(record, validationLoss: validation)
            last = record
            guard let validation else { return }
            losses[record.step] = validation
            if best.map({ validation < $0.loss }) ?? true { best = (record.step, validation) }
        }
        let modified = Self.modified(folder.metrics) ?? Self.modified(folder.configuration) ?? 0
        var snapshot = RunSnapshot(
            configuration: configuration, folder: path, state: .stopped, step: last?.step ?? 0, time: modified)
        snapshot.started = Self.modified(folder.configuration) ?? modified
        if let last {
            snapshot.state = last.step >= configuration.totalSteps ? .finished : .stopped
            snapshot.progress.loss = last.loss
            snapshot.progress.gradientNorm = last.gradientNorm
            snapshot.progress.learningRate = last.learningRate
            snapshot.progress.stepSeconds = last.stepSeconds
            snapshot.progress.charactersPerSecond = last.charactersPerSecond
        }
        snapshot.progress.validationLoss = curve.validations.last?.loss
        snapshot.progress.validationStep = curve.validations.last?.step
        snapshot.progress.bestValidationLoss = best?.loss
        if configuration.corpus.demoSeed != nil { snapshot.progress.entropyBound = DemoCorpus.entropyPerCharacter }
        snapshot.events = Self.events(folder.log)
        snapshot.sample = snapshot.events.last { $0.kind == .sample }.flatMap { LogEvent(text: $0.text).sample }
        snapshot.checkpoints = Self.checkpoints(folder.checkpoints, losses: losses)
        self.snapshot = snapshot
        self.curve = curve
    }

    private static func modified(_ url: URL) -> Double? {
        let date = try? FileManager.default.attributesOfItem(atPath: url.path)[.modificationDate] as? Date
        return date?.timeIntervalSince1970
    }

    /// What stands in a folder of checkpoints, in the order of their steps.
    static func checkpoints(_ folder: URL, losses: [UInt64: Double]) -> [RunSnapshot.Checkpoint] {
        CheckpointStore(folder: folder).list().suffix(RunMonitor.checkpointsKept).map { step, url in
            RunSnapshot.Checkpoint(step: step, file: url.lastPathComponent, validationLoss: losses[step])
        }
    }

    /// The last of `log.txt`.
    static func events(_ log: URL) -> [RunSnapshot.Event] {
        RunLog.entries(at: log).enumerated().suffix(RunMonitor.eventsKept).map { index, entry in
            RunSnapshot.Event(
                number: index + 1, time: entry.time, kind: LogEvent(text: entry.text).kind,
                text: String(entry.text.prefix(RunMonitor.eventLength)))
        }
    }
}
