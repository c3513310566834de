import ArgumentParser
import Corpus
import Foundation
import Kernels
import Training

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "The loss of a model on a text.",
        discussion: """
            Every character but the first is scored, given those before it. Characters that the model's vocabulary lacks \
            are counted, and neither read nor scored. The text is cut into segments of 4,096 characters, each read from \
            512 characters before it: the cut depends on the text alone, so the result has the same bits for any number \
            of workers and threads.
            """)

    @Argument(help: ArgumentHelp("A run folder, a checkpoint or an exported model.", valueName: "run"))
    var source: String
    @Argument(help: "A UTF-8 text.") var corpus: String
    @Flag(help: "As JSON.") var json = false
    @Option(help: "Write the text with the surprisal of each character to this file, as tab-separated values.")
    var surprise: String?
    @Flag(help: "Reset the recurrent state at every window.") var stateless = false
    @Flag(help: "One pass over the whole text, not segments. Slow: one thread does it.") var uncut = false
    @Option(help: "Characters of a window, for --stateless. (default: the run's, else 100)") var window: Int?
    @Flag(help: "The best checkpoint by validation loss, not the newest.") var best = false
    @Option(help: "Processes that share the text.") var workers = 1
    @Option(help: "Threads of each process. (default: the cores, shared among the workers)") var threads: Int?
    /// What this process, one of several, is to score, and the file to put it in.
    @Option(help: .hidden) var share: ScoreShare?
    @Option(help: .hidden) var shareFile: String?

    func validate() throws {
        guard (1...256).contains(workers) else { throw ValidationError("--workers must be from 1 to 256") }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads must be from 1 to 1024")
        }
        guard window.map({ (1...65536).contains($0) }) ?? true else {
            throw ValidationError("--window must be from 1 to 65536")
        }
        guard !uncut || (workers == 1 && !stateless) else {
            throw ValidationError("--uncut is one pass: it goes with neither --workers nor --stateless")
        }
        guard window == nil || stateless else { throw ValidationError("--window says nothing without --stateless") }
    }

    func run() throws {
        ParentWatch.start()
        let folder = workers > 1 ? try PrivateFolder() : nil
        if folder != nil { PrivateFolder.removeOnSignal() }
        _ = try InstructionSet.select()
        let model = try ModelSource(path: source, best: best) { CoordinatorRun.warn($0) }
        let text = try EncodedCorpus(path: corpus, vocabulary: model.vocabulary, unknown: .leftOut)
        guard text.count > 1 else {
            throw ConfigurationError("\(corpus): one character that the model knows is too few to score a text by")
        }
        let length = stateless ? try window ?? model.configuration()?.window ?? 100 : nil
        let plan: ScoringPlan =
            length.map { .stateless(characters: text.count, window: $0) }
            ?? (uncut ? .uncut(characters: text.count) : .stateful(characters: text.count))
        let task = ScoringTask(
            model: model, text: text, plan: plan, length: length,
            threads: threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / workers))
        if let share, let shareFile {
            let writer = try ScoreShare.Writer(path: shareFile, mark: task.mark, hasLosses: surprise != nil)
            return try task.score(share) { try writer.append($0) }
        }

        let started = ContinuousClock.now
        let writer = try surprise.map {
            try SurpriseWriter(path: $0, source: text.source, vocabulary: model.vocabulary)
        }
        var sums: [Double] = []
        func take(_ losses: [Double], _ sum: Double) throws {
            try writer?.append(losses)
            sums.append(sum)
        }
        if let folder {
            try scoreByWorkers(task, in: folder, take)
            withExtendedLifetime(folder) {}
        } else {
            try task.score(ScoreShare(index: 0, count: 1)) { try take($0, $0.reduce(0, +)) }
        }
        try writer?.finish()
        let result = TextScore(
            segmentLosses: sums, characters: plan.scored, unknownCharacters: text.unknownCharacters)
        if json { try printJSON(result) } else { try show(result, model, text, ContinuousClock.now - started) }
    }

    /// What is scored, and how.
    private struct ScoringTask {
        let model: ModelSource
        let text: EncodedCorpus
        let plan: ScoringPlan
        /// Characters of a window in a stateless pass; nil for any other.
        let length: Int?
        let threads: Int
        /// What the files of the shares begin with.
        let mark: [UInt64]

        init(model: ModelSource, text: EncodedCorpus, plan: ScoringPlan, length: Int?, threads: Int) {
            self.model = model
            self.text = text
            self.plan = plan
            self.length = length
            self.threads = threads
            mark = ScoreShare.mark(plan: plan, parametersDigest: digest(model.parameters))
        }

        /// Hands the losses of each segment of the share to `body`, in order.
        func score(_ share: ScoreShare, _ body: ([Double]) throws -> Void) throws {
            let scorer = TextScorer(
                shape: model.shape, parameters: model.parameters, corpus: text, plan: plan, threads: threads)
            try scorer.score(segments: share.segments(of: plan)) { try body($1) }
        }
    }

    /// Has each share scored by a process of its own, and does itself what one of them left undone.
    private func scoreByWorkers(
        _ task: ScoringTask, in folder: PrivateFolder, _ take: (_ losses: [Double], _ sum: Double) throws -> Void
    ) throws {
        func file(_ index: Int) -> String { "\(folder.path)/\(index)" }
        let endings = try ScoringWorkers.run(count: workers) { index in
            var arguments = [
                "evaluate", task.model.url.path, corpus, "--share=\(index)/\(workers)", "--share-file=\(file(index))",
                "--threads=\(task.threads)",
            ]
            if let length = task.length { arguments += ["--stateless", "--window=\(length)"] }
            if surprise != nil { arguments.append("--surprise=-") }
            return arguments
        }
        for (index, ending) in endings.enumerated() {
            let share = ScoreShare(index: index, count: workers)
            let isWhole =
                try ending.isSuccess
                && share.read(path: file(index), plan: task.plan, mark: task.mark, hasLosses: surprise != nil, take)
            guard !isWhole else { continue }
            CoordinatorRun.warn("worker \(index + 1) \(ending) before its share was whole: scoring that here")
            try task.score(share) { try take($0, $0.reduce(0, +)) }
        }
    }

    private func show(_ result: TextScore, _ model: ModelSource, _ text: EncodedCorpus, _ time: Duration) throws {
        let unknown = result.unknownCharacters
        print("\(corpus): \(result.characters) characters scored, \(unknown) unknown")
        if unknown > 0 {
            let found = try text.source.unknownCharacters(to: model.vocabulary)
            let named = found.prefix(8).map { "\(printable($0.scalar)) \($0.count)" }.joined(separator: ", ")
            print("  not in the vocabulary: \(named)\(found.count > 8 ? ", and \(found.count - 8) others" : "")")
        }
        print(
            "  loss \(fourDecimals(result.loss)) nats, \(fourDecimals(result.bitsPerCharacter)) bits a character, "
                + "perplexity \(fourDecimals(result.perplexity))")
        let seconds = time / .seconds(1)
        print(
            "  model \(model.url.path), in \(String(format: "%.2f", seconds)) s "
                + "(\(Int(Double(result.characters) / seconds)) characters/s)")
    }
}

extension ScoreShare: ExpressibleByArgument {}
