import Coordination
package import LanguageModel

/// Predicts the time of a step on hosts around one coordinator, from the time of a step on one of them and the link.
///
/// The model: a worker computes its shards in proportion, and packs and updates all parameters however few they are;
/// gradients become final layer by layer, the output first, and of a layer block by block (``GateBlocks``), as one
/// thread computes them. They leave as chunks of tree nodes, each worker's at the rate of its own link, which is taken
/// for that of the coordinator's. They meet in the queue in front of that link (``ArrivalQueue``), so a chunk is whole
/// at the coordinator when the worker that began last has got its own through, behind all that the others had put
/// there. It then leaves to all of them over the other direction of the link. Once a step, a word goes there and
/// another back.
///
/// The copies of the last chunk arrive one behind the other, so workers begin the next step one behind the other. How
/// far apart depends on the order in which the system sends; ``stagger`` is what fits measured steps
/// (`deploy/hosts/measure.sh`).
package struct StarPlan: Sendable {
    /// A network link of the coordinator, the same each way; workers' links carry less and never count more.
    package struct Link: Sendable, Equatable {
        /// Bits a second.
        package var bandwidth: Double
        /// Seconds one way.
        package var latency: Double
        package var usesCurve: Bool

        package init(bandwidth: Double, latency: Double, usesCurve: Bool) {
            self.bandwidth = bandwidth
            self.latency = latency
            self.usesCurve = usesCurve
        }
    }

    /// What is predicted of a number of workers, one on each host.
    package struct Prediction: Sendable, Equatable, Encodable {
        package var workers: Int
        package var stepSeconds: Double
        /// The time without any communication, as a share of the step.
        package var efficiency: Double
        /// Against one worker on the coordinator's host.
        package var speedup: Double
        /// Payload at the coordinator a step, in from all workers and out to them.
        package var bytesIn: Int
        package var bytesOut: Int
    }

    /// Headers of Ethernet, IP and TCP with timestamps in 1,500-byte packets: 1448 of 1538 bytes on the wire are ours.
    static let linkShare = 1448.0 / 1538.0
    /// Processor seconds a byte at one end: a socket and the fold; and CURVE on top.
    static let plainCost = 0.4e-9
    static let curveCost = 1.2e-9
    /// Seconds a parameter that packing the weights and the update take, whatever the rows (`lockstep bench`, one
    /// core).
    static let passCost = 2.2e-9
    /// How far apart the workers begin, as a share of the time between the first and the last copy of the last chunk.
    static let stagger = 0.6
    /// Seconds of the link that wait in front of it at most: a deep buffer, which is the slower case.
    static let queueSeconds = 0.1
    /// Numbers of workers that are worth a line.
    package static let counts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]

    private let shape: ModelShape
    private let rows: Int
    private let window: Int
    private let shards: Int
    private let stepSeconds: Double
    private let link: Link

    /// - Parameters:
    ///   - rows: of the global batch.
    ///   - stepSeconds: of one worker with all of them, as `lockstep bench --workers 1` gives it.
    package init(shape: ModelShape, rows: Int, window: Int, shards: Int, stepSeconds: Double, link: Link) {
        self.shape = shape
        self.rows = rows
        self.window = window
        self.shards = shards
        self.stepSeconds = stepSeconds
        self.link = link
    }

    /// How many tree nodes each of `workers` equal workers sends, and its shards.
    private func share(_ workers: Int) -> (nodes: [Int], largest: Int) {
        let tree = ReductionTree(leaves: shards)
        let plan = LeasePlan.apportion(Array(0..<shards), among: (0..<workers).map { (WorkerID($0 + 1), 1000) })
        return (plan.map { tree.cover($0.shards).count }, plan.map(\.shards.count).max()!)
    }

    /// When each chunk is final in all of a worker's `nodes`, as a share of its computation, in that order.
    ///
    /// A third of the products is forward, a third the gradients of inputs and a third those of weights. A layer has
    /// its part of the latter two, one behind the other; layer 0's product with the input is not counted.
    func chunksFinal(nodes: Int) -> [(chunk: Int, share: Double)] {
        let layout = ParameterLayout(shape)
        var progress = ChunkProgress(ChunkLayout(floats: layout.count))
        var chunks: [(chunk: Int, share: Double)] = []
        func complete(_ range: Range<Int>, _ share: Double) {
            chunks += progress.complete(range).map { ($0, share) }
        }
        let all = StepArithmetic.multiplyAdds(shape)
        var share = 1.0 / 3 + 2.0 / 3 * Double(shape.vocabulary * shape.hidden) / all
        complete(layout.outputRange, share)
        for layer in (0..<shape.layers).reversed() {
            let third = Double(4 * shape.hidden * shape.hidden * (layer > 0 ? 2 : 1)) / all / 3
            let blocks = GateBlocks(layout: layout, layer: layer, threads: 1)
            for (block, gates) in blocks.gates.enumerated() {
                // The last node's are computed last, and make a chunk final.
                let done = (Double(nodes - 1) + Double(block + 1) / Double(blocks.gates.count)) / Double(nodes)
                for range in blocks.ranges(of: gates) { complete(range, share + third * (1 + done)) }
            }
            share += 2 * third
        }
        return chunks
    }

    /// Predicts the step of `workers` equal workers, each on a host of its own, by the model above.
    ///
    /// - Parameter workers: at least 1; those beyond the number of shards stand idle.
    package func predict(workers: Int) -> Prediction {
        let (nodes, largest) = share(workers)
        let layout = ParameterLayout(shape)
        let passes = min(stepSeconds, Self.passCost * Double(layout.count))
        let compute = passes + (stepSeconds - passes) * Double(largest) / Double(shards)
        let chunks = ChunkLayout(floats: layout.count)
        // A carry for each row goes up with the results; tokens and targets of a row come down.
        let carries = rows * shape.carryCount * 4
        let tokens = rows * window * 8
        let rate = link.bandwidth / 8 * Self.linkShare
        let cost = Self.plainCost + (link.usesCurve ? Self.curveCost : 0)
        func time(_ bytes: Int) -> Double { max(Double(bytes) / rate, Double(bytes) * cost) }

        func bytes(_ chunk: Int) -> Int { chunks.range(chunk).count * 4 }
        let upward = nodes.map { count in
            chunksFinal(nodes: count).map { (ready: compute * $0.share, seconds: time(bytes($0.chunk) * count)) }
        }
        // In the order in which all workers send.
        let downs = chunksFinal(nodes: 1).map { time(bytes($0.chunk) * nodes.count) }
        let bytesIn = carries + 4 * layout.count * nodes.reduce(0, +)
        let bytesOut = tokens + 4 * layout.count * nodes.count
        // The last worker begins so much behind the first, and the others in between.
        let later = Self.stagger * (1 - 1 / Double(nodes.count)) * downs.last!
        let spacing = nodes.count > 1 ? later / Double(nodes.count - 1) : 0
        var queue = ArrivalQueue(
            senders: upward.enumerated().map { index, messages in
                messages.map { (Double(index) * spacing + $0.ready, $0.seconds) }
            }, limit: Self.queueSeconds)
        let passed = queue.run()
        let arrived = passed.map(\.last!).max()! + time(carries)
        var left = 0.0
        for (chunk, down) in downs.enumerated() { left = max(left, passed.map { $0[chunk] }.max()!) + down }
        // From the first worker's beginning to its next one.
        left -= later
        let total = max(left, arrived, compute) + time(tokens) + 2 * link.latency
        return Prediction(
            workers: workers, stepSeconds: total, efficiency: compute / total * ideal(workers, largest),
            speedup: stepSeconds / total, bytesIn: bytesIn, bytesOut: bytesOut)
    }

    /// Shards that do not divide evenly leave workers idle.
    private func ideal(_ workers: Int, _ largest: Int) -> Double {
        Double(shards) / (Double(workers) * Double(largest))
    }

    /// The number of workers, of ``counts``, beyond which more make a step no shorter; at most one a shard.
    package var mostUseful: Int {
        var best = predict(workers: 1)
        for workers in Self.counts where workers <= shards {
            let prediction = predict(workers: workers)
            // Two in a hundred more speed are not worth a host.
            if prediction.stepSeconds < best.stepSeconds * 0.98 { best = prediction }
        }
        return best.workers
    }
}
