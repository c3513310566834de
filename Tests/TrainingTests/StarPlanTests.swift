import Kernels
import LanguageModel
import Synchronization
import Testing

@testable import Training

@Suite("The plan of a star") struct StarPlanTests {
    private func plan(
        bandwidth: Double, latency: Double = 0, curve: Bool = false, step: Double = 1, shards: Int = 16
    ) -> StarPlan {
        StarPlan(
            shape: ModelShape(vocabulary: 83, hidden: 512, layers: 2), rows: 128, window: 100, shards: shards,
            stepSeconds: step, link: .init(bandwidth: bandwidth, latency: latency, usesCurve: curve))
    }

    @Test("Over a link that costs nothing, workers share the computation")
    func free() {
        let plan = plan(bandwidth: 1e15)
        for workers in [1, 2, 4, 8, 16] {
            let prediction = plan.predict(workers: workers)
            // What is left is the processor's time for bytes.
            #expect(abs(prediction.stepSeconds - 1 / Double(workers)) < 0.25)
            #expect(prediction.stepSeconds >= 1 / Double(workers))
        }
    }

    @Test("Each of a power of two workers sends one gradient and gets one average")
    func bytes() {
        let gradient = ParameterLayout(ModelShape(vocabulary: 83, hidden: 512, layers: 2)).count * 4
        let carries = 128 * 2 * 2 * 512 * 4
        for workers in [1, 2, 4, 8, 16] {
            let prediction = plan(bandwidth: 1e9).predict(workers: workers)
            #expect(prediction.bytesIn == workers * gradient + carries)
            #expect(prediction.bytesOut == workers * gradient + 128 * 100 * 8)
        }
        // 16 shards in runs of 6, 5 and 5 need more nodes than workers.
        #expect(plan(bandwidth: 1e9).predict(workers: 3).bytesIn > 3 * gradient + carries)
    }

    @Test("On a slow link a step takes as long as all gradients and the last averages behind them, and few workers pay")
    func slow() {
        let plan = plan(bandwidth: 100e6)
        let eight = plan.predict(workers: 8)
        let onTheWire = Double(eight.bytesIn) * 8 / 100e6
        // Of 52 chunks the averages of one are left when all have come; headers take 6 in a hundred.
        #expect(eight.stepSeconds > 1.05 * onTheWire && eight.stepSeconds < 1.2 * onTheWire)
        #expect(plan.mostUseful < 4)
        #expect(self.plan(bandwidth: 25e9, step: 10).mostUseful == 16)
    }

    @Test("A gradient of one chunk is averaged only when all have come, and workers begin one behind the other")
    func oneChunk() {
        let plan = StarPlan(
            shape: ModelShape(vocabulary: 41, hidden: 64, layers: 1), rows: 16, window: 16, shards: 16,
            stepSeconds: 1e-6, link: .init(bandwidth: 1e6, latency: 0, usesCurve: false))
        for workers in [2, 8] {
            let prediction = plan.predict(workers: workers)
            let oneWay = Double(prediction.bytesIn) * 8 / 1e6 / StarPlan.linkShare
            let apart = StarPlan.stagger * (1 - 1 / Double(workers))
            #expect(abs(prediction.stepSeconds / oneWay - (2 - apart)) < 0.1)
        }
    }

    @Test("Chunks leave in the order in which a worker's engine has them final", arguments: [1, 2, 3])
    func order(layers: Int) {
        let shape = ModelShape(vocabulary: 83, hidden: 256, layers: layers)
        let geometry = EngineGeometry(shape: shape, batch: 2, window: 2, shards: 2, dropout: 0, seed: 1)
        let layout = ParameterLayout(shape)
        let carry = [Float](repeating: 0, count: shape.carryCount)
        let work = (0..<2).map { ShardWork(shard: $0, inputs: [1, 2], targets: [2, 3], carry: carry) }
        for nodes in [[0..<2], [0..<1, 1..<2]] {
            let progress = Mutex((progress: ChunkProgress(ChunkLayout(floats: layout.count)), chunks: [Int]()))
            _ = GradientEngine(geometry: geometry, threads: 1).run(
                step: 0, parameters: FloatBuffer(count: layout.count), work: work,
                nodes: nodes.map { GradientNode(shards: $0, gradient: FloatBuffer(count: layout.count)) }
            ) { range in progress.withLock { $0.chunks += $0.progress.complete(range) } }
            let plan = StarPlan(
                shape: shape, rows: 2, window: 2, shards: 2, stepSeconds: 1,
                link: .init(bandwidth: 1e9, latency: 0, usesCurve: false))
            let planned = plan.chunksFinal(nodes: nodes.count)
            #expect(planned.map(\.chunk) == progress.withLock { $0.chunks })
            // Some of each layer's before all of it, and with a second node none before its turn.
            let shares = planned.map(\.share)
            #expect(shares == shares.sorted() && shares.first! > 1.0 / 3 && abs(shares.last! - 1) < 1e-9)
            #expect(Set(shares).count > layers + 1)
        }
    }

    @Test("What leaves while others are computed makes a step shorter, and with two nodes it leaves later")
    func overlap() {
        let plan = plan(bandwidth: 1e9)
        let (one, two) = (plan.chunksFinal(nodes: 1), plan.chunksFinal(nodes: 2))
        #expect(zip(one, two).allSatisfy { $0.share <= $1.share } && one[20].share < two[20].share)
        // The gradients of layer 0 take 84 ms of the link for both workers: as a whole, behind the 500 ms of computing.
        // Two thirds of that are saved while the 55 ms of their products last.
        let prediction = plan.predict(workers: 2).stepSeconds
        #expect(prediction > 0.53 && prediction < 0.56)
    }

    @Test("Latency counts there and back, and CURVE costs time")
    func costs() {
        let near = plan(bandwidth: 10e9).predict(workers: 4).stepSeconds
        #expect(abs(plan(bandwidth: 10e9, latency: 0.05).predict(workers: 4).stepSeconds - near - 0.1) < 1e-9)
        #expect(
            plan(bandwidth: 10e9, curve: true).predict(workers: 8).stepSeconds
                > plan(bandwidth: 10e9).predict(workers: 8).stepSeconds)
    }
}
