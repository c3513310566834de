import Coordination
import Foundation
import Testing

@Suite("All interleavings of a small world", .serialized)
struct SmallWorldTests {
    /// Two shards, two steps of one epoch, so that the second step needs the carry of the first.
    private static var run: SimulatedRun {
        var run = SimulatedRun(shards: 2)
        run.chunks = 1
        run.snapshotParts = 1
        run.steps = 2
        run.period = 2
        run.credits = 1000
        run.checkpointEvery = 0
        return run
    }

    private struct Search: Sendable {
        var states = 0
        var ends = 0
        var problem: String?
    }

    /// Visits every state that can be reached.
    private static func search(_ start: SmallWorld, expected: [SimulatedRun.Line]) -> Search {
        var result = Search()
        var seen: Set<Int> = [start.hashValue]
        var stack: [(world: SmallWorld, path: [SmallWorld.Move])] = [(start, [])]
        while let (world, path) = stack.popLast() {
            result.states += 1
            if world.coordinator.machine.isFinished {
                result.ends += 1
                guard world.coordinator.run.lines == expected else {
                    result.problem = "wrong bits after \(path)"
                    return result
                }
                let run = world.coordinator.run
                for step in 1...run.steps where run.evaluates(after: step) && run.validations[step] == nil {
                    result.problem = "step \(step) was not evaluated after \(path)"
                    return result
                }
                continue
            }
            if let failure = world.coordinator.failure ?? world.coordinator.banned.first {
                result.problem = "\(failure) after \(path)"
                return result
            }
            let moves = world.moves
            if moves.isEmpty {
                result.problem = "nothing is left to happen after \(path)"
                return result
            }
            for move in moves {
                var next = world
                do { try next.make(move) } catch {
                    result.problem = "\(error) after \(path + [move])"
                    return result
                }
                if seen.insert(next.hashValue).inserted { stack.append((next, path + [move])) }
            }
        }
        return result
    }

    struct World: CustomTestStringConvertible, Sendable {
        var workers: Int
        var crashes = 0
        var coordinatorCrashes = 0
        /// Of a text that is evaluated after each step.
        var segments = 0
        /// Gradients and averages are read where they lie.
        var sharesMemory = false

        var testDescription: String {
            "\(workers) workers, \(crashes) crashes of one, \(coordinatorCrashes) of the coordinator, \(segments) segments, "
                + (sharesMemory ? "memory shared" : "nothing shared")
        }

        static let quick = [
            World(workers: 2), World(workers: 2, crashes: 1, sharesMemory: true),
            World(workers: 1, crashes: 1, coordinatorCrashes: 1, sharesMemory: true),
            World(workers: 2, segments: 2), World(workers: 1, crashes: 1, coordinatorCrashes: 1, segments: 1),
        ]
        /// Two of them have some hundred times the states of the others together.
        static let thorough =
            quick + [
                World(workers: 2, crashes: 1), World(workers: 1, crashes: 1, coordinatorCrashes: 1),
                World(workers: 2, crashes: 1, segments: 2),
                World(workers: 2, coordinatorCrashes: 1, sharesMemory: true),
            ]
        static var all: [World] {
            ProcessInfo.processInfo.environment["LOCKSTEP_SIMULATION_SEEDS"] == nil ? quick : thorough
        }
    }

    @Test(
        "Two shards, two steps, and a crash anywhere: always the same bits, and never a standstill",
        arguments: World.all)
    func everything(world: World) async throws {
        var run = Self.run
        run.segments = world.segments
        let start = try SmallWorld(
            workers: world.workers, sharesMemory: world.sharesMemory, run: run, crashes: world.crashes,
            coordinatorCrashes: world.coordinatorCrashes)
        let expected = try SimulationTests.clean(Self.run)
        let result = try await onThread { Self.search(start, expected: expected) }
        print("\(world.testDescription): \(result.states) states, \(result.ends) of them ends")
        #expect(result.problem == nil)
        #expect(result.ends > 0)
    }
}
