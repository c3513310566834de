import LanguageModel
import Testing

@testable import Training

@Suite("What a benchmark counts")
struct BenchmarkTests {
    @Test(
        "The arithmetic of a step is the products', counted one by one",
        arguments: [
            ModelShape(vocabulary: 83, hidden: 512, layers: 2), ModelShape(vocabulary: 2, hidden: 100, layers: 1),
            ModelShape(vocabulary: 5000, hidden: 650, layers: 3),
        ])
    func arithmetic(_ shape: ModelShape) {
        // Every weight but layer 0's input takes part in one product of a character forward, and in two backward.
        let weights = ParameterLayout(shape).entries.filter {
            $0.shape.count == 2 && $0.parameter != .inputWeight(layer: 0)
        }
        let forward = weights.reduce(0) { $0 + 2 * $1.range.count }
        #expect(StepArithmetic.forward(shape, characters: 7) == Double(7 * forward))
        #expect(StepArithmetic.training(shape, batch: 5, window: 3) == Double(3 * 5 * 3 * forward))
    }

    @Test("The phases of a step are the time between two updates, whoever was slower")
    func phases() {
        var phases = PhaseTimes()
        (phases.pack, phases.forward, phases.backward, phases.weightGradients) = (1, 2, 3, 4)
        var early = PhaseLog.Entry(step: 7, computeStart: 100.5, computeEnd: 111, phases: phases)
        (early.updateStart, early.updateEnd) = (115, 116)
        var late = PhaseLog.Entry(step: 7, computeStart: 101, computeEnd: 113, phases: phases)
        (late.updateStart, late.updateEnd) = (115, 117)
        let both = StepPhases([(early, previousEnd: 100), (late, previousEnd: 101)])
        #expect((both.pack, both.forward, both.backward, both.weightGradients) == (1, 2, 3, 4))
        #expect(both.optimizer == 1.5)
        #expect(both.reduce == 2)
        // Half a second for the lease, two for the slower one.
        #expect(both.wait == 1.25)
        #expect(both.other == 1.25)
        #expect(both.sum == 16)
        #expect(both.named.reduce(0) { $0 + $1.seconds } == both.sum)
    }

    @Test("A worker without a shard waits for the others, and its phases are the time between its updates too")
    func phasesWithoutLease() {
        var busy = PhaseLog.Entry(step: 7, computeStart: 101, computeEnd: 111)
        (busy.updateStart, busy.updateEnd) = (112, 113)
        var idle = PhaseLog.Entry(step: 7)
        (idle.updateStart, idle.updateEnd) = (113, 115)
        let both = StepPhases([(busy, previousEnd: 100), (idle, previousEnd: 101)])
        #expect((both.wait, both.reduce, both.optimizer) == (5.5, 1.5, 1.5))
        #expect(both.sum == 13.5)
        // One that is behind.
        let behind = StepPhases([(busy, previousEnd: 100), (idle, previousEnd: 112)])
        #expect((behind.wait, behind.reduce, behind.sum) == (0.5, 1, 8))
    }
}
