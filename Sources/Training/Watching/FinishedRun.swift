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
        snapshot.sample = snapshot.events.last { $0.kind == .sample }.flatMap(Self.sample)
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
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().suffix(RunMonitor.checkpointsKept).compactMap { name in
            guard name.hasPrefix("step-"), name.hasSuffix(".safetensors"),
                let step = UInt64(name.dropFirst(5).dropLast(12))
            else { return nil }
            return RunSnapshot.Checkpoint(step: step, file: name, validationLoss: losses[step])
        }
    }

    /// The last lines of `log.txt`.
    static func events(_ log: URL) -> [RunSnapshot.Event] {
        guard let source = try? TextSource(path: log.path) else { return [] }
        let end = source.withBytes { String(decoding: $0.suffix(1 << 16), as: UTF8.self) }
        let lines = end.split(separator: "\n").dropFirst(source.byteCount > 1 << 16 ? 1 : 0)
        let format = Date.ISO8601FormatStyle()
        var events: [RunSnapshot.Event] = []
        for line in lines {
            // A stamp as `RunLog` writes it takes twenty characters; a tab after it goes on with what was said before.
            let stamp = line.prefix(20)
            let text = line.dropFirst(21)
            guard let date = try? format.parse(String(stamp)), let mark = line.dropFirst(20).first else { continue }
            if mark == "\t" {
                if let last = events.indices.last { events[last].text += "\n" + text }
            } else {
                events.append(
                    RunSnapshot.Event(
                        number: events.count + 1, time: date.timeIntervalSince1970, kind: kind(of: text),
                        text: String(text)))
            }
        }
        return events.suffix(RunMonitor.eventsKept).map { event in
            var event = event
            event.text = String(event.text.prefix(RunMonitor.eventLength))
            return event
        }
    }

    private static let sampleStart = "sample at step "

    private static func kind(of text: Substring) -> RunSnapshot.Event.Kind {
        if text.hasPrefix(sampleStart) { return .sample }
        if text.hasPrefix("lost ") { return .lost }
        if text.contains(" joined from ") { return .joined }
        return text.hasPrefix("warning: ") ? .warning : .information
    }

    static func sample(_ event: RunSnapshot.Event) -> RunSnapshot.Sample? {
        let parts = event.text.dropFirst(sampleStart.count).split(separator: ":\n", maxSplits: 1)
        guard parts.count == 2, let step = UInt64(parts[0]) else { return nil }
        var text = String(parts[1])
        if text.last == "\n" { text.removeLast() }
        return RunSnapshot.Sample(step: step, text: text)
    }
}
