import Coordination
import Foundation
import Synchronization
import Testing

@Suite("The whole protocol on a simulated network", .serialized)
struct SimulationTests {
    /// What one worker makes of it, undisturbed.
    static func clean(_ run: SimulatedRun = SimulatedRun()) throws -> [SimulatedRun.Line] {
        try cleanOutcome(run).lines
    }

    private static func cleanOutcome(_ run: SimulatedRun) throws -> SimulatedCluster.Outcome {
        var cluster = SimulatedCluster(seed: 0, workers: 1, run: run)
        return try cluster.run()
    }

    /// What the end of an undisturbed run depends on.
    private struct Course: Hashable {
        let steps: UInt64
        let segments: Int
        let evaluateEvery: UInt64
        let patience: Int?

        init(_ run: SimulatedRun) {
            (steps, segments, evaluateEvery, patience) = (run.steps, run.segments, run.evaluateEvery, run.patience)
        }
    }

    /// Seeds to run: those that the environment asks for, or `count` of them.
    private static func seeds(_ count: UInt64) -> ClosedRange<UInt64> {
        let environment = ProcessInfo.processInfo.environment
        if let only = environment["LOCKSTEP_SIMULATION_SEED"].flatMap(UInt64.init) { return only...only }
        return 1...(environment["LOCKSTEP_SIMULATION_SEEDS"].flatMap(UInt64.init) ?? count)
    }

    /// Runs the cluster that `make` gives for each seed, and holds every one against the clean run.
    ///
    /// On a thread of its own: it computes for long, and other tests wait on the few threads of the pool.
    private func survey(
        _ count: UInt64, _ name: String, make: @escaping @Sendable (UInt64) -> SimulatedCluster,
        check: @escaping @Sendable (UInt64, SimulatedCluster.Outcome) -> String? = { _, _ in nil }
    ) async throws {
        try await onThread { try Self.survey(count, name, make, check) }
    }

    private static func survey(
        _ count: UInt64, _ name: String, _ make: (UInt64) -> SimulatedCluster,
        _ check: (UInt64, SimulatedCluster.Outcome) -> String?
    ) throws {
        var expected: [Course: SimulatedCluster.Outcome] = [:]
        let seeds = Self.seeds(count)
        var injected = 0
        for seed in seeds {
            var cluster = make(seed)
            var problem: String?
            do {
                let clean = try expected[Course(cluster.beginning)] ?? cleanOutcome(cluster.beginning)
                expected[Course(cluster.beginning)] = clean
                let outcome = try cluster.run()
                injected += outcome.faultsInjected
                problem =
                    if outcome.lines.count != clean.lines.count {
                        "it ended at step \(outcome.lines.count), not \(clean.lines.count)"
                    } else if outcome.lines != clean.lines {
                        "wrong bits"
                    } else if outcome.validations != clean.validations {
                        "evaluations of steps \(outcome.validations.keys.sorted()), or other losses"
                    } else if outcome.best != clean.best {
                        "the best state is of step \(outcome.best?.step ?? 0), not \(clean.best?.step ?? 0)"
                    } else if let step = clean.lines.indices.first(where: {
                        !outcome.replicas[UInt64($0 + 1), default: []].isSubset(of: [clean.lines[$0].digest])
                    }) {
                        "a replica was wrong after step \(step + 1)"
                    } else if let refusal = outcome.refusals.first {
                        "an honest worker was refused, \(refusal)"
                    } else {
                        check(seed, outcome)
                    }
            } catch {
                problem = "\(error)"
            }
            if let problem {
                Issue.record("\(name): \(problem); replay with LOCKSTEP_SIMULATION_SEED=\(seed)")
                return
            }
        }
        // A simulation that injects nothing proves nothing.
        if seeds.count > 1 { #expect(injected >= seeds.count) }
    }

    @Test("Any number of workers ends on the digest of one", arguments: [1, 2, 3, 4, 7, 12], [1, 3, 5, 8, 16])
    func workerCount(workers: Int, shards: Int) throws {
        let run = SimulatedRun(shards: shards)
        var cluster = SimulatedCluster(seed: 5, workers: workers, run: run)
        #expect(try cluster.run().lines == Self.clean(run))
        var evaluating = run
        evaluating.segments = 5
        cluster = SimulatedCluster(seed: 5, workers: workers, run: evaluating)
        let outcome = try cluster.run()
        #expect(outcome.lines == (try Self.clean(run)) && outcome.validations.keys.sorted() == Array(1...run.steps))
    }

    @Test(
        "Crashes, hangs, partitions, lost, doubled and reordered messages, slow workers, and a coordinator that is killed or stopped, change no bit, in thousands of seeds"
    )
    func faults() async throws {
        try await survey(
            2000, "all faults",
            make: { seed in
                var run = SimulatedRun()
                run.number = seed
                run.auditsPerMillion = [0, 300_000, 1_000_000][Int(seed / 5 % 3)]
                run.checkpointEvery = seed / 15 % 3
                run.segments = [0, 1, 5][Int(seed / 45 % 3)]
                run.evaluateEvery = seed % 4 + 1
                run.patience = seed / 2 % 3 == 0 ? 1 : nil
                return SimulatedCluster(seed: seed, workers: Int(seed % 5) + 1, run: run, faults: .all)
            },
            check: { _, outcome in outcome.banned.first.map { "\($0) was banned, and is honest" } })
    }

    @Test("A killed coordinator loses no step of the workers that live")
    func coordinatorKilled() async throws {
        let counts = Mutex((restarts: 0, kept: 0))
        try await survey(
            300, "coordinator",
            make: { seed in
                var run = SimulatedRun()
                run.number = seed
                run.checkpointEvery = 0
                let faults = SimulatedCluster.Faults(duplicate: 0.01, coordinatorCrash: 0.1)
                return SimulatedCluster(seed: seed, workers: Int(seed % 4) + 1, run: run, faults: faults)
            },
            check: { _, outcome in
                counts.withLock {
                    $0.restarts += outcome.restarts.count
                    $0.kept += outcome.restarts.count { Int($0.recoveredAt) >= $0.lines }
                }
                // A commit that no worker had heard of yet is computed again.
                let late = outcome.restarts.first { Int($0.recoveredAt) < $0.lines - 1 }
                return late.map { "\($0.lines) steps were on record, and it went on from \($0.recoveredAt)" }
            })
        let (restarts, kept) = counts.withLock { $0 }
        if Self.seeds(300).count > 1 {
            #expect(kept * 10 > restarts * 9, "of \(restarts) restarts \(kept) lost nothing")
        }
    }

    @Test("A coordinator that is killed among evaluations loses none, keeps the best state, and ends where it should")
    func evaluations() async throws {
        let taken = Mutex(0)
        try await survey(
            1500, "evaluations",
            make: { seed in
                var run = SimulatedRun()
                run.number = seed
                run.steps = 12
                run.segments = 2
                run.evaluateEvery = seed % 4 + 1
                run.patience = [nil, 1, 2][Int(seed / 4 % 3)]
                run.checkpointEvery = [0, 2, 5][Int(seed / 12 % 3)]
                let faults = SimulatedCluster.Faults(hang: 0.02, coordinatorCrash: 0.15, coordinatorHang: 0.02)
                return SimulatedCluster(seed: seed, workers: Int(seed % 3) + 1, run: run, faults: faults)
            },
            check: { _, outcome in
                taken.withLock { $0 += outcome.restarts.count { Int($0.recoveredAt) >= $0.lines && $0.lines > 0 } }
                return nil
            })
        if Self.seeds(1500).count > 1 { #expect(taken.withLock { $0 } > 200) }
    }

    @Test("A worker that lies is found and refused, and changes no bit")
    func lies() async throws {
        let banned = Mutex(0)
        try await survey(
            300, "lies",
            make: { seed in
                var run = SimulatedRun()
                run.number = seed
                run.auditsPerMillion = 1_000_000
                var faults = SimulatedCluster.Faults.all
                switch seed % 3 {
                case 0: faults.lie = .auditedGradient
                case 1: faults.lie = .notFinite
                default:
                    // Whether a replica that nobody has a record of is right, a new coordinator cannot know.
                    faults.coordinatorCrash = 0
                    faults.lie = .parameters(step: seed / 3 % 5)
                }
                return SimulatedCluster(seed: seed, workers: Int(seed % 4) + 2, run: run, faults: faults)
            },
            check: { _, outcome in
                banned.withLock { $0 += outcome.banned.count }
                return outcome.banned.subtracting(["w0"]).first.map { "\($0) was banned, and is honest" }
            })
        if Self.seeds(300).count > 1 { #expect(banned.withLock { $0 } > 100) }
    }
}
