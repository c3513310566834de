import ArgumentParser
import Foundation
import Kernels
import LanguageModel
import Training

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Predicts the time of a step on many hosts, and how many of them pay.",
        discussion: """
            Give the time of a whole step on one host (step_seconds of lockstep bench, or of metrics.jsonl with one \
            worker) and the coordinator's link. All workers' gradients share that link: from some number on more hosts make \
            a step no shorter.

            The model: a worker computes its share of the shards, and packs and updates all parameters (2.2 ns each). \
            Its gradient leaves in chunks of 256 KiB, layer by layer, the output's first, and of a layer block by \
            block, over a link as fast as the coordinator's, and waits at that one behind what other workers sent \
            before, up to 100 ms of it. A chunk that is there from all goes back to all while others still come. \
            Headers take 6 % of a link; a core takes in or gives out 2.5 GB/s, 0.6 GB/s with CURVE. Workers begin one \
            behind the other, within 0.6 of the time that the last chunk's copies take. deploy/hosts/measure.sh holds \
            it against measured steps.
            """)

    @Option(help: "Seconds of a step with one worker, on a host like those to come.") var stepSeconds: Double
    @Option(help: "The coordinator's link, each way: 100mbit, 1gbit, 25gbit.") var bandwidth: Bandwidth
    @Option(help: "Milliseconds of the link, one way.") var latency = 0.1
    @Flag(help: "Without CURVE (--insecure).") var insecure = false
    @Option(help: "Units of each LSTM layer.") var hidden = 512
    @Option(help: "LSTM layers.") var layers = 2
    @Option(help: "Distinct characters of the text.") var distinct = 83
    @Option(help: "Rows of the global batch.") var batch = 128
    @Option(help: "Characters of a row in one step.") var window = 100
    @Option(help: "Leaves of the reduction tree. (default: at most 16, a power of two)") var shards: Int?
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        func require(_ isFine: Bool, _ message: String) throws { if !isFine { throw ValidationError(message) } }
        try require(stepSeconds > 0 && stepSeconds < 1e6, "--step-seconds must be above 0 and below 1000000")
        try require((0...10000).contains(latency), "--latency must be from 0 to 10000 milliseconds")
        func require(_ flag: String, _ value: Int, in range: ClosedRange<Int>) throws {
            try require(range.contains(value), "\(flag) must be from \(range.lowerBound) to \(range.upperBound)")
        }
        try require("--hidden", hidden, in: RunConfiguration.hiddenRange)
        try require("--layers", layers, in: RunConfiguration.layersRange)
        try require((1...1_000_000).contains(distinct), "--distinct must be from 1 to 1000000")
        try require("--batch", batch, in: RunConfiguration.batchRange)
        try require("--window", window, in: RunConfiguration.windowRange)
        if let shards { try require("--shards", shards, in: RunConfiguration.shardsRange) }
        try require(shards.map { batch.isMultiple(of: $0) } ?? true, "--shards must divide --batch")
    }

    func run() throws {
        // How many gates are a block depends on it.
        _ = try InstructionSet.select()
        let shards = shards ?? RunConfiguration.defaultShards(batch: batch)
        let plan = StarPlan(
            shape: ModelShape(vocabulary: distinct, hidden: hidden, layers: layers), rows: batch, window: window,
            shards: shards, stepSeconds: stepSeconds,
            link: .init(bandwidth: bandwidth.bitsPerSecond, latency: latency / 1000, usesCurve: !insecure))
        let counts = StarPlan.counts.filter { $0 <= shards }
        let predictions = counts.map(plan.predict)
        if json {
            try printJSON(Report(predictions: predictions, mostUseful: plan.mostUseful))
            return
        }
        print("workers   step s  efficiency  speedup   MB in  MB out a step, at the coordinator")
        for row in predictions {
            print(
                String(
                    format: "%7d %8.3f %10.0f%% %8.2f %7.2f %7.2f", row.workers, row.stepSeconds, row.efficiency * 100,
                    row.speedup, Double(row.bytesIn) / 1e6, Double(row.bytesOut) / 1e6))
        }
        let most = plan.mostUseful
        print(
            most == shards
                ? "up to \(most) workers, one a shard, each makes a step shorter"
                : "beyond \(most) worker\(most == 1 ? "" : "s") more make a step no shorter over this link")
    }

    private struct Report: Encodable {
        var predictions: [StarPlan.Prediction]
        var mostUseful: Int
    }
}

/// A rate such as 100mbit: from 1 kbit to 10,000 Gbit a second.
struct Bandwidth: ExpressibleByArgument {
    let bitsPerSecond: Double

    init?(argument: String) {
        let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)]
        guard let unit = units.first(where: { argument.lowercased().hasSuffix($0.0) }),
            let number = Double(argument.dropLast(4)), 1e3...1e13 ~= number * unit.1
        else { return nil }
        bitsPerSecond = number * unit.1
    }
}
