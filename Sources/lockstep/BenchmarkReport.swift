import Foundation
import LanguageModel
import Training

/// What `lockstep bench` found, as JSON and as lines for people.
struct BenchmarkReport: Encodable {
    struct Model: Encodable {
        var hidden: Int
        var layers: Int
        var vocabulary: Int
        var bias: Bool
    }

    /// A worker's memory, in bytes.
    struct Memory: Encodable {
        var predicted: Int
        var measured: Int
    }

    var mode: String
    var cores: Int
    var isa: String
    /// nil where the mode has no worker processes.
    var workers: Int?
    var threads: Int
    var model: Model
    /// Rows side by side: of the global batch, or streams.
    var batch: Int
    var window: Int?
    var dropout: Double?
    /// Steps that were timed.
    var steps: Int
    var peakGflops: Double
    var stepGflop: Double
    var stepSeconds: Double
    var fractionOfPeak: Double
    var charactersPerSecond: Double
    var phases: StepPhases?
    var memory: Memory?
    /// How fast the threads read as many bytes as the weights have, and the share of that rate which is used.
    var readGigabytesPerSecond: Double?
    var fractionOfReadRate: Double?

    init(_ result: TrainingBenchmark.Result, isa: String, cores: Int, workers: Int, threads: Int) {
        mode = "train"
        self.cores = cores
        self.isa = isa
        self.workers = workers
        self.threads = threads
        model = Model(result.shape)
        batch = result.batch
        window = result.window
        dropout = result.dropout
        steps = result.stepsMeasured
        peakGflops = max(result.peakBefore, result.peakAfter)
        stepGflop = result.stepOperations * 1e-9
        stepSeconds = result.stepSeconds
        fractionOfPeak = stepGflop / stepSeconds / peakGflops
        charactersPerSecond = Double(result.batch * result.window) / result.stepSeconds
        phases = result.phases
        memory = Memory(predicted: result.predictedBytes, measured: result.measuredBytes)
    }

    init(_ result: ForwardBenchmark.Result, mode: BenchmarkMode, isa: String, cores: Int) {
        self.mode = mode.rawValue
        self.cores = cores
        self.isa = isa
        threads = result.threads
        model = Model(result.shape)
        batch = result.rows
        steps = result.passes
        peakGflops = result.peak
        stepGflop = result.passOperations * 1e-9
        stepSeconds = result.passSeconds
        fractionOfPeak = stepGflop / stepSeconds / peakGflops
        charactersPerSecond = result.charactersPerSecond
        guard mode == .sample else { return }
        readGigabytesPerSecond = result.bandwidth
        fractionOfReadRate = result.weightBytes * 1e-9 / result.passSeconds / result.bandwidth
    }

    var lines: [String] {
        func number(_ value: Double, _ digits: Int = 1) -> String { String(format: "%.\(digits)f", value) }
        func percent(_ value: Double) -> String { number(100 * value) + " %" }
        let processes = workers.map { "\($0) worker\($0 == 1 ? "" : "s") x " } ?? ""
        var lines = [
            "\(mode): \(model.layers) x \(model.hidden), vocabulary \(model.vocabulary), batch \(batch)"
                + (window.map { ", window \($0)" } ?? "") + (dropout.map { ", dropout \($0)" } ?? ""),
            "\(processes)\(threads) thread\(threads == 1 ? "" : "s"), \(cores) cores, \(isa)",
            "peak              \(number(peakGflops)) GFLOP/s (multiply-adds, all threads at once)",
            "arithmetic        \(number(stepGflop, 4)) GFLOP a step",
            "step              \(number(stepSeconds * 1000, 3)) ms (median of \(steps))",
            "of the peak       \(percent(fractionOfPeak))",
            "characters/s      \(number(charactersPerSecond, 0))",
        ]
        if let rate = readGigabytesPerSecond, let share = fractionOfReadRate {
            lines.append("reading weights   \(percent(share)) of the \(number(rate)) GB/s that the threads can read")
        }
        if let phases {
            for (name, seconds) in phases.named {
                let title = name.padding(toLength: 18, withPad: " ", startingAt: 0)
                lines.append("\(title)\(number(seconds * 1000, 2)) ms, \(percent(seconds / phases.sum))")
            }
        }
        if let memory {
            func mebibytes(_ bytes: Int) -> String { number(Double(bytes) / 1_048_576, 0) + " MiB" }
            lines.append(
                "memory            \(mebibytes(memory.measured)) a worker at most; predicted "
                    + mebibytes(memory.predicted))
        }
        return lines
    }
}

extension BenchmarkReport.Model {
    fileprivate init(_ shape: ModelShape) {
        self.init(hidden: shape.hidden, layers: shape.layers, vocabulary: shape.vocabulary, bias: shape.bias)
    }
}
