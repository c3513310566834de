import ArgumentParser
import Foundation
import Kernels
import LanguageModel
import Synchronization
import Training

extension BenchmarkMode: EnumerableFlag {}

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "The machine's limit and this trainer's share of it.",
        discussion: """
            Measures the rate of fused multiply-adds of all the threads it uses, at once, just before and just after what \
            it times, and takes the higher of both as the peak.

            Without --evaluate or --sample it times whole steps of the trainer itself: coordinator, worker processes, messages, \
            clipping, updates, real text. A step has 6 B T (4 H^2 (2L - 1) + V H) operations, with batch B, window T, \
            hidden H, layers L, vocabulary V and a multiply-add as two: layer 0's product with a one-hot input is a \
            lookup and is not counted, nor are gates, loss, dropout and updates. The first 3 steps are not timed. The \
            phases are means over the workers and add up to the step.

            --evaluate times the forward pass of whole windows: 2 B T (4 H^2 (2L - 1) + V H) operations each.

            --sample times text generated one character at a time, --count streams in one batch, beside the rate at \
            which the same threads read as many bytes as the weights of a step have.

            Predicted memory of a worker, in bytes, with R rows on it and P parameters: 4 R T (6 L H + H), with \
            dropout 4 R T L H more, 4 R T V of logits or 16 MiB if that is less, 4 P for each of parameters, optimizer \
            slots (2 for adam), 2 averages, 2 gradients and 2 packed copies, and 30 MiB for the program.
            """)

    @Flag(help: "Whole training steps (the default), the forward pass alone, or text as it is generated.")
    var mode = BenchmarkMode.train
    @Option(help: "A UTF-8 text. (default: the built-in demo corpus)") var corpus: String?

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Text") var text: TextOptions
    @OptionGroup(title: "Optimizer") var optimizer: OptimizerOptions
    @OptionGroup(title: "Run") var arithmetic: ArithmeticOptions

    @Option(help: "Worker processes. (default: 2)") var workers: Int?
    @Option(help: "Threads of each worker. (default: the cores, shared among the workers; 1 with --sample)")
    var threads: Int?
    @Option(
        help:
            "What to time: steps, windows with --evaluate, characters of a stream with --sample. (default: 10, 10, 1000)"
    )
    var steps: Int?
    @Option(help: "Streams of --sample, in one batch. (default: 1)") var count: Int?
    @Flag(help: "As JSON.") var json = false

    func validate() throws {
        func check(_ flag: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
            guard let value, !range.contains(value) else { return }
            throw ValidationError("\(flag) must be from \(range.lowerBound) to \(range.upperBound)")
        }
        try check("--workers", workers, 1...256)
        try check("--threads", threads, 1...1024)
        try check("--steps", steps, 1...1_000_000)
        try check("--count", count, 1...4096)
        guard mode == .train || workers == nil else {
            throw ValidationError("--workers says nothing to --\(mode.rawValue), which runs in one process")
        }
        guard mode == .sample || count == nil else { throw ValidationError("--count says nothing without --sample") }
    }

    func run() throws {
        let isa = try InstructionSet.select()
        try raiseOpenFileLimit(workers: workers ?? 2)
        let stop = Mutex<(@Sendable (String) -> Void)?>(nil)
        let watcher = SignalWatcher { signal, count in
            let handler = stop.withLock { $0 }
            guard count == 1, let handler else {
                FileHandle.standardError.write(Data("Error: stopped by \(signal)\n".utf8))
                PrivateFolder.removeAll()
                _exit(1)
            }
            handler(signal)
        }
        defer { withExtendedLifetime(watcher) {} }
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let report: BenchmarkReport
        switch mode {
        case .train:
            let workers = workers ?? 2
            let threads = threads ?? max(1, cores / workers)
            let benchmark = TrainingBenchmark(
                corpus: corpus, vocabularyFile: text.vocabulary, settings: settings, steps: steps ?? 10,
                workers: workers,
                threads: threads, software: Version.text)
            let result = try benchmark.run(
                warn: { CoordinatorRun.warn($0) }, started: { handler in stop.withLock { $0 = handler } })
            report = BenchmarkReport(result, isa: isa, cores: cores, workers: workers, threads: threads)
        case .evaluate, .sample:
            let benchmark = ForwardBenchmark(
                corpus: corpus, vocabularyFile: text.vocabulary, settings: settings,
                threads: threads ?? (mode == .sample ? 1 : cores), software: Version.text)
            let result =
                try mode == .sample
                ? benchmark.sample(count: count ?? 1, length: steps ?? 1000)
                : benchmark.evaluate(windows: steps ?? 10)
            report = BenchmarkReport(result, mode: mode, isa: isa, cores: cores)
        }
        if json {
            try printJSON(report)
        } else {
            for line in report.lines { print(line) }
        }
    }

    private var settings: RunSettings {
        var settings = RunSettings()
        model.set(&settings)
        text.set(&settings)
        optimizer.set(&settings)
        arithmetic.set(&settings)
        return settings
    }
}
