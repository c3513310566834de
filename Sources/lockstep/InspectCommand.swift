import ArgumentParser
import Checkpoints
import Corpus
import Foundation
import Kernels
import LanguageModel
import Training

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "What a run, a checkpoint or a model file holds.")

    @Argument(help: "A run folder, a checkpoint or an exported model.") var path: String
    @Flag(help: "As JSON.") var json = false
    @Flag(help: "Hold every digest against the bytes; ends with code 1 where one differs.") var verify = false
    @Flag(help: "The best checkpoint by validation loss, not the newest.") var best = false

    func run() throws {
        _ = try InstructionSet.select()
        let verification = verify ? try RunVerification(path: path) : nil
        if let verification, !verification.faults.isEmpty, !json { return try show(verification) }
        let source: ModelSource
        let configuration: RunConfiguration?
        do {
            source = try ModelSource(path: path, best: best) { CoordinatorRun.warn($0) }
            configuration = try source.configuration()
        } catch {
            // No model is left to tell of; what was found is all the same.
            guard let verification, !verification.faults.isEmpty else { throw error }
            try printJSON(VerificationReport(path: path, verification: verification))
            throw complaint(verification)
        }
        var report = InspectReport(source, configuration)
        report.verification = verification
        if json {
            try printJSON(report)
            if let verification, !verification.faults.isEmpty { throw complaint(verification) }
            return
        }
        show(report, configuration)
        showParameters(ParameterLayout(source.shape))
        if let run = runFolder { showRun(run, report) }
        if let verification { try show(verification) }
    }

    private var runFolder: RunFolder? { try? RunFolder.open(path) }

    private func line(_ name: String, _ text: String) {
        print("  \(name)\(String(repeating: " ", count: max(1, 13 - name.count)))\(text.withVisibleControls)")
    }

    private func show(_ report: InspectReport, _ configuration: RunConfiguration?) {
        print(report.path)
        let kind = report.step == nil ? "exported model" : "checkpoint"
        line("file", "\(kind), \(Self.size(report.fileBytes ?? 0))")
        if let step = report.step {
            var text = "step \(Self.grouped(step))"
            if let configuration, !configuration.lacksText {
                let epochs = (configuration.totalSteps + configuration.stepsPerEpoch - 1) / configuration.stepsPerEpoch
                text += " of \(Self.grouped(configuration.totalSteps)), epoch \(report.epoch! + 1) of \(epochs), "
                text += "window \(report.windowIndex!) of \(configuration.stepsPerEpoch)"
            }
            line("progress", text)
        }
        let model = report.model
        line(
            "model",
            "\(model.layers) LSTM layer\(model.layers == 1 ? "" : "s") of \(model.hidden) units, "
                + "\(model.vocabulary) characters\(model.bias ? "" : ", without biases"); "
                + "\(Self.grouped(UInt64(report.parameters))) parameters, \(Self.size(report.parameters * 4))")
        if let configuration { showSettings(configuration) }
        if let loss = report.validationLoss { line("validation", Self.nats(loss)) }
        if let best = report.bestValidationLoss { line("best so far", Self.nats(best)) }
        line(
            "digests",
            "parameters \(report.parametersDigest)" + (report.stateDigest.map { ", state \($0)" } ?? ""))
    }

    private func showSettings(_ configuration: RunConfiguration) {
        let corpus = configuration.corpus
        if configuration.lacksText {
            line("text", "none yet: imported as \(corpus.name)")
        } else {
            line("text", "\(corpus.path ?? corpus.name): \(Self.grouped(UInt64(corpus.characters))) characters")
            line("", "SHA-256 \(corpus.sha256)")
            line(
                "held out",
                configuration.validation == 0
                    ? "nothing" : "\(configuration.validation), the \(configuration.validationSplit ?? .tail)")
        }
        if let initial = configuration.initialModel {
            line("began from", "\(initial.path), \(initial.parametersDigest)")
        }
        line(
            "batch",
            "\(configuration.batch) rows of \(configuration.window) characters in \(configuration.shards) shards"
                + (configuration.stateless ? ", stateless" : ""))
        let optimizer = configuration.optimizer
        var text = "\(optimizer.kind.rawValue), learning rate \(optimizer.learningRate)"
        if configuration.clip > 0 { text += ", norm clipped at \(configuration.clip)" }
        if let clamp = configuration.clipValue { text += ", elements clamped to \(clamp)" }
        if optimizer.weightDecay > 0 { text += ", weight decay \(optimizer.weightDecay)" }
        line("optimizer", text)
        if configuration.schedule != LearningRateSchedule() { line("schedule", "\(configuration.schedule.kind)") }
        line(
            "seed",
            "\(configuration.seed), parameters drawn \(configuration.initializer), dropout \(configuration.dropout)")
        line("software", "lockstep \(configuration.software), run \(configuration.run)")
    }

    private func showParameters(_ layout: ParameterLayout) {
        print("\nparameters")
        for entry in layout.entries {
            let shape = entry.shape.map(String.init).joined(separator: " x ")
            let name = entry.name + String(repeating: " ", count: max(1, 20 - entry.name.count))
            print(
                "  \(name)\(shape)\(String(repeating: " ", count: max(1, 14 - shape.count)))"
                    + Self.grouped(UInt64(entry.range.count)))
        }
    }

    private func showRun(_ run: RunFolder, _ report: InspectReport) {
        let store = CheckpointStore(folder: run.checkpoints)
        print("\ncheckpoints")
        for (_, url) in store.list() {
            let bytes = (try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int) ?? nil
            let loss = store.validationLoss(of: url)
            let isBest = loss != nil && loss == report.bestValidationLoss
            print(
                "  \(url.lastPathComponent)  \(Self.size(bytes ?? 0))"
                    + (loss.map { "  validation \(fourDecimals($0))\(isBest ? " (best)" : "")" } ?? ""))
        }
        let curve = MetricsCurve(contentsOf: run.metrics)
        let lines = CurvePlot(curve).lines
        guard !lines.isEmpty else { return }
        let isValidated = curve.points.contains { $0.validationLoss != nil }
        print("\nloss by step, nats a character: . training\(isValidated ? ", o validation" : "")")
        for line in lines { print(line) }
    }

    /// - Throws: an error where a digest differs.
    private func show(_ verification: RunVerification) throws {
        print("\nverification")
        for file in verification.files {
            print("  \(URL(fileURLWithPath: file.path).lastPathComponent): \(file.fault ?? "sound")")
        }
        if !verification.faults.isEmpty { throw complaint(verification) }
    }

    /// What is damaged, and what to do.
    private func complaint(_ verification: RunVerification) -> ConfigurationError {
        let faults = verification.faults
        let names = faults.map { URL(fileURLWithPath: $0.path).lastPathComponent }
        let shown = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", and \(names.count - 3) more" : "")
        let count = verification.files.count
        return ConfigurationError(
            "\(path): \(faults.count) of \(count) file\(count == 1 ? " is" : "s are") not sound (\(shown)): put a copy in "
                + "\(faults.count == 1 ? "its" : "their") place"
                + (runFolder == nil ? "" : "; without a damaged checkpoint's file an older one is taken"))
    }

    /// What `--verify --json` says where no model is left.
    private struct VerificationReport: Encodable {
        var path: String
        var verification: RunVerification
    }

    private static func nats(_ value: Double) -> String {
        "\(fourDecimals(value)) nats, \(fourDecimals(bits(ofNats: value))) bits a character"
    }

    private static func grouped(_ value: UInt64) -> String { ProgressLine.grouped(value) }

    /// `950 B`, `41.2 kB`, `13.4 MB`.
    private static func size(_ bytes: Int) -> String {
        switch bytes {
        case ..<1000: "\(bytes) B"
        case ..<1_000_000: String(format: "%.1f kB", Double(bytes) / 1e3)
        default: String(format: "%.1f MB", Double(bytes) / 1e6)
        }
    }
}
