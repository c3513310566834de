import Coordination
import Foundation
import Testing

@Suite("Simulated clusters")
struct SimulationTests {
    static func clean(shards: Int = 8, steps: UInt64 = 6) throws -> SimulatedCluster.Outcome {
        var cluster = SimulatedCluster(seed: 0, workers: 1, shards: shards, steps: steps)
        return try cluster.run()
    }

    @Test("Any number of workers ends on the digest of one", arguments: [1, 2, 3, 4, 7, 12], [1, 3, 5, 8, 16])
    func workerCount(workers: Int, shards: Int) throws {
        var cluster = SimulatedCluster(seed: 5, workers: workers, shards: shards)
        #expect(try cluster.run() == Self.clean(shards: shards))
    }

    @Test("Crashes, hangs, partitions, lost, doubled and reordered messages change no bit, in thousands of seeds")
    func faults() throws {
        let expected = try Self.clean()
        let environment = ProcessInfo.processInfo.environment
        let seeds: ClosedRange<UInt64>
        if let only = environment["LOCKSTEP_SIMULATION_SEED"].flatMap(UInt64.init) {
            seeds = only...only
        } else {
            seeds = 1...(environment["LOCKSTEP_SIMULATION_SEEDS"].flatMap(UInt64.init) ?? 2000)
        }
        var injected = 0
        for seed in seeds {
            var cluster = SimulatedCluster(seed: seed, workers: Int(seed % 5) + 1, faults: .all)
            do {
                let outcome = try cluster.run()
                injected += cluster.faultsInjected
                guard outcome == expected else {
                    Issue.record("wrong bits; replay with LOCKSTEP_SIMULATION_SEED=\(seed)")
                    return
                }
            } catch {
                Issue.record("\(error); replay with LOCKSTEP_SIMULATION_SEED=\(seed)")
                return
            }
        }
        // A simulation that injects nothing proves nothing.
        #expect(injected >= seeds.count)
    }
}
