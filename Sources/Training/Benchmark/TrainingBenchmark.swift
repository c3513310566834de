import Foundation
import Kernels
package import LanguageModel

/// Times the trainer itself: its coordinator and its worker processes, on a run of some steps that is thrown away.
package struct TrainingBenchmark: Sendable {
    /// What was measured.
    package struct Result: Sendable {
        package var shape: ModelShape
        package var batch: Int
        package var window: Int
        package var dropout: Double
        /// GFLOP/s of all compute threads together, before the run and after it. See ``PeakMeter``.
        package var peakBefore: Double
        package var peakAfter: Double
        /// The operations that ``StepArithmetic`` counts.
        package var stepOperations: Double
        /// The median, from one committed step to the next.
        package var stepSeconds: Double
        /// The phases of the step of median length and its neighbours.
        package var phases: StepPhases
        /// A worker's bytes: what the model and its rows come to, and the largest resident size that was seen.
        package var predictedBytes: Int
        package var measuredBytes: Int
        package var stepsMeasured: Int
        /// The digest of the parameters after the last measured step: 16 hex digits.
        package var digest: String
    }

    /// Steps that are not counted: the first one waits for processes and pages.
    package static let warmUpSteps = 3

    package var corpus: String?
    package var vocabularyFile: String?
    package var settings: RunSettings
    package var steps: Int
    package var workers: Int
    /// Compute threads of each worker.
    package var threads: Int
    package var software: String

    package init(
        corpus: String?, vocabularyFile: String?, settings: RunSettings, steps: Int, workers: Int, threads: Int,
        software: String
    ) {
        self.corpus = corpus
        self.vocabularyFile = vocabularyFile
        self.settings = settings
        self.steps = steps
        self.workers = workers
        self.threads = threads
        self.software = software
    }

    /// - Parameters:
    ///   - warn: told of what the preparation warns of.
    ///   - started: gets a call that stops the run, to be made from any thread.
    /// - Throws: what training throws; ``ConfigurationError`` where the run was stopped.
    package func run(
        warn: (String) -> Void, started: (@escaping @Sendable (String) -> Void) -> Void
    ) throws -> Result {
        let scratch = try PrivateFolder()
        let logs = URL(fileURLWithPath: "\(scratch.path)/phases")
        try FileManager.default.createDirectory(at: logs, withIntermediateDirectories: false)
        setenv(PhaseLog.variable, logs.path, 1)
        defer { unsetenv(PhaseLog.variable) }

        var settings = settings
        // One more than is looked at: workers may leave before they have noted the last.
        settings.steps = UInt64(Self.warmUpSteps + steps + 1)
        settings.checkpointEvery = .never
        settings.evaluateEvery = .never
        settings.sampleEvery = .never
        let request = RunPreparation.Request(
            corpus: corpus, settings: settings, run: "\(scratch.path)/run", resume: false, configurationFile: nil,
            vocabularyFile: vocabularyFile, initialModel: nil, software: software)
        let listener = try Listener(address: nil)
        let (job, lock) = try RunPreparation.prepare(request, warn: warn)
        let peakBefore = PeakMeter.multiplyAdds(threads: workers * threads)

        var options = CoordinatorService.Options()
        options.localWorkers = workers
        options.settings.minimumWorkers = workers
        options.threads = threads
        options.isQuiet = true
        let coordinator = try CoordinatorService(options)
        started(coordinator.interrupt)
        let folder = "\(scratch.path)/run"
        let ending = try coordinator.run(
            job, listener: listener, folderName: folder, resumeCommand: ResumeCommand("train", run: folder),
            monitor: RunMonitor(job: job, folder: folder))
        withExtendedLifetime(lock) {}
        if case .interrupted(let signal) = ending { throw ConfigurationError("stopped by \(signal)") }
        let peakAfter = PeakMeter.multiplyAdds(threads: workers * threads)

        let configuration = job.configuration
        let records = try Self.records(job.folder.metrics).dropFirst(Self.warmUpSteps).prefix(steps)
        let log = try PhaseLog.read(folder: logs)
        guard records.count == steps, log.count == workers else {
            throw ConfigurationError("a worker was lost meanwhile, so the times say nothing: measure again")
        }
        let ordered = records.sorted { $0.stepSeconds < $1.stepSeconds }
        let middle = ordered[ordered.count / 3..<(2 * ordered.count + 2) / 3]
        return Result(
            shape: configuration.model, batch: configuration.batch, window: configuration.window,
            dropout: configuration.dropout, peakBefore: peakBefore, peakAfter: peakAfter,
            stepOperations: StepArithmetic.training(
                configuration.model, batch: configuration.batch, window: configuration.window),
            stepSeconds: ordered[ordered.count / 2].stepSeconds,
            phases: try Self.phases(of: middle.map { UInt64($0.step - 1) }, log),
            predictedBytes: MemoryEstimate.worker(configuration, workers: workers),
            measuredBytes: log.compactMap { $0.last?.residentBytes }.max() ?? 0,
            stepsMeasured: steps, digest: records.last!.digest)
    }

    private struct Line: Decodable {
        var step: Int
        var stepSeconds: Double
        var digest: String
    }

    private static func records(_ metrics: URL) throws -> [Line] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try Data(contentsOf: metrics).split(separator: UInt8(ascii: "\n")).map {
            try decoder.decode(Line.self, from: Data($0))
        }
    }

    static func phases(of steps: [UInt64], _ log: [[PhaseLog.Entry]]) throws(ConfigurationError) -> StepPhases {
        let tables = log.map { Dictionary($0.map { ($0.step, $0) }) { $1 } }
        var all: [StepPhases] = []
        for step in steps {
            var workers: [(entry: PhaseLog.Entry, previousEnd: Double)] = []
            for table in tables {
                guard let entry = table[step], let previous = table[step - 1] else {
                    throw ConfigurationError("a worker's times of step \(step + 1) are missing: measure again")
                }
                workers.append((entry, previous.updateEnd))
            }
            all.append(StepPhases(workers))
        }
        return StepPhases.mean(all)
    }
}
