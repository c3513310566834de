import Corpus
import Foundation
import Kernels
package import LanguageModel

/// Times the forward pass alone, in this process: of text, or one character at a time.
package struct ForwardBenchmark: Sendable {
    /// What was measured.
    package struct Result: Sendable {
        package var shape: ModelShape
        /// Rows, or streams, side by side.
        package var rows: Int
        package var threads: Int
        /// The median of one pass: a window of text, or one character of every stream.
        package var passSeconds: Double
        package var passes: Int
        package var charactersPerSecond: Double
        /// The operations of a pass that ``StepArithmetic`` counts.
        package var passOperations: Double
        /// GFLOP/s of the threads, the higher of before and after.
        package var peak: Double
        /// GB/s at which the threads read as many bytes as the weights have, and those bytes.
        package var bandwidth: Double
        package var weightBytes: Double
    }

    package var corpus: String?
    package var vocabularyFile: String?
    package var settings: RunSettings
    package var threads: Int
    package var software: String

    package init(
        corpus: String?, vocabularyFile: String?, settings: RunSettings, threads: Int, software: String
    ) {
        self.corpus = corpus
        self.vocabularyFile = vocabularyFile
        self.settings = settings
        self.threads = threads
        self.software = software
    }

    /// The loss of whole windows of the text.
    package func evaluate(windows: Int) throws -> Result {
        try timed(passes: windows, rows: nil) { job, engine in
            let state = ForwardState(shape: job.configuration.model, rows: job.batches.batch)
            return { pass in
                let (inputs, targets) = job.batches.batch(
                    rows: 0..<job.batches.batch, window: pass % job.batches.windows)
                _ = engine.loss(inputs: inputs, targets: targets, window: job.batches.window, state)
                return job.batches.batch * job.batches.window
            }
        }
    }

    /// Text of `count` streams, `length` characters each.
    package func sample(count: Int, length: Int) throws -> Result {
        try timed(passes: length, rows: count) { job, engine in
            let state = ForwardState(shape: job.configuration.model, rows: count)
            var samplers = try (0..<count).map { try Sampler(seed: UInt64($0)) }
            var tokens = [UInt32](repeating: 0, count: count)
            return { _ in
                engine.step(tokens: tokens, state)
                for stream in 0..<count {
                    tokens[stream] = UInt32(try samplers[stream].next(logits: state.logits(row: stream)))
                }
                return count
            }
        }
    }

    /// - Parameters:
    ///   - rows: nil for those of the batch.
    ///   - prepare: gives the pass to time, which tells how many characters it did.
    private func timed(
        passes: Int, rows: Int?,
        prepare: (TrainingJob, ForwardEngine) throws -> (_ pass: Int) throws -> Int
    ) throws -> Result {
        let scratch = try PrivateFolder()
        let request = RunPreparation.Request(
            corpus: corpus, settings: settings, run: "\(scratch.path)/run", resume: false, configurationFile: nil,
            vocabularyFile: vocabularyFile, initialModel: nil, software: software)
        let (job, lock) = try RunPreparation.prepare(request) { _ in }
        defer { withExtendedLifetime((scratch, lock)) {} }
        let shape = job.configuration.model
        let engine = ForwardEngine(shape: shape, parameters: job.replica.parameters, threads: threads)
        let pass = try prepare(job, engine)
        let weightBytes = 4 * StepArithmetic.multiplyAdds(shape)
        let peakBefore = PeakMeter.multiplyAdds(threads: threads)
        let bandwidthBefore = PeakMeter.reading(bytes: Int(weightBytes), threads: threads)
        for warmUp in 0..<2 { _ = try pass(warmUp) }
        var times: [Double] = []
        var characters = 0
        for index in 0..<passes {
            let start = ContinuousClock.now
            characters += try pass(index)
            times.append((ContinuousClock.now - start) / .seconds(1))
        }
        let median = times.sorted()[passes / 2]
        let perPass = Double(characters) / Double(passes)
        return Result(
            shape: shape, rows: rows ?? job.configuration.batch, threads: threads, passSeconds: median, passes: passes,
            charactersPerSecond: perPass / median,
            passOperations: StepArithmetic.forward(shape, characters: characters / passes),
            peak: max(peakBefore, PeakMeter.multiplyAdds(threads: threads)),
            bandwidth: max(bandwidthBefore, PeakMeter.reading(bytes: Int(weightBytes), threads: threads)),
            weightBytes: weightBytes)
    }
}
