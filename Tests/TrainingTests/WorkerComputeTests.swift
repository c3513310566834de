import Coordination
import Foundation
import Kernels
import LanguageModel
import Testing

@testable import Training

@Suite("The compute thread of a worker")
struct WorkerComputeTests {
    @Test("A shard whose carry is not here is not computed from zeros")
    func carry() throws {
        var configuration = RunSettings.defaults(
            software: "", run: "", corpus: .init(path: nil, name: "", sha256: "", characters: 0))
        (configuration.model, configuration.dropout) = (ModelShape(vocabulary: 3, hidden: 4, layers: 1), 0)
        (configuration.batch, configuration.window, configuration.shards) = (2, 4, 2)
        let inbox = try Inbox<WorkerCompute.Event>()
        let compute = WorkerCompute(
            configuration: configuration, replica: Replica(configuration: configuration), threads: 1, inbox: inbox)
        defer { compute.post(.stop) }
        compute.post(.install(step: 3, .none))
        let tokens: [UInt32] = [0, 1, 2, 0]
        func lease(carried: [UInt32]) {
            let lease = Lease(generation: 1, step: 3, shards: [0, 1], carried: carried, resetsCarry: false)
            compute.post(
                .compute(
                    lease,
                    .init(
                        inputs: [tokens, tokens], targets: [tokens, tokens],
                        carries: carried.map { _ in Array(repeating: 0.5, count: 2 * 4) })))
        }
        /// The shards computed, and the one that was not.
        func outcome() -> (computed: [UInt32], lacking: Int?) {
            var (computed, lacking): ([UInt32], Int?) = ([], nil)
            let deadline = ContinuousClock.now + .seconds(60)
            while computed.count < 2, lacking == nil, ContinuousClock.now < deadline {
                for event in inbox.drain() {
                    if case .result(let result, _) = event { computed.append(result.shard) }
                    if case .lacksCarry(let shard, 3) = event { lacking = shard }
                }
                Thread.sleep(forTimeInterval: 0.001)
            }
            return (computed, lacking)
        }
        lease(carried: [0])
        let without = outcome()
        #expect(without.computed.isEmpty && without.lacking == 1)
        lease(carried: [0, 1])
        let with = outcome()
        #expect(with.computed == [0, 1] && with.lacking == nil)
    }
}
