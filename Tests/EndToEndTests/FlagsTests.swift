import Foundation
import LanguageModel
import Testing

@testable import Training

@Suite("Flags that a run keeps")
struct FlagsTests {
    private func configuration(_ flags: String...) async throws -> RunConfiguration {
        let folder = try TinyRun.folder()
        let own = ["train", "text.txt", "--run=run", "--hidden=3", "--layers=1", "--workers=1", "--quiet"]
        let result = try await Execution.run(own + flags, in: folder)
        try #require(result.code == 0, "\(result.errors)")
        return try RunPreparation.configuration(at: folder.file("run/run.json"))
    }

    @Test("Each flag of the model, the text, the rate and the upkeep stands in run.json")
    func all() async throws {
        let run = try await configuration(
            "--dropout=0.25", "--initializer=uniform:0.5", "--forget-bias=2", "--batch=6", "--window=7",
            "--validation=0.75", "--validation-split=columns", "--stateless", "--shards=3", "--seed=9", "--epochs=1",
            "--optimizer=adamw", "--learning-rate=0.01", "--weight-decay=0.02", "--beta1=0.8", "--beta2=0.9",
            "--epsilon=0.001", "--clip=3", "--clip-value=0.5", "--schedule=step", "--schedule-unit=epoch",
            "--schedule-size=4", "--schedule-gamma=0.25", "--warmup=2", "--checkpoint-every=50", "--keep=2",
            "--evaluate-every=60", "--patience=70", "--sample-every=80s")
        #expect(run.model.hidden == 3 && run.model.layers == 1 && run.model.bias)
        #expect(run.dropout == 0.25 && run.initializer == .uniform(0.5) && run.forgetBias == 2)
        #expect(run.batch == 6 && run.window == 7 && run.shards == 3 && run.seed == 9)
        #expect(run.validation == 0.75 && run.validationSplit.map { "\($0)" } == "columns" && run.stateless)
        #expect(run.totalSteps == run.stepsPerEpoch)
        var optimizer = OptimizerConfiguration(kind: .adamw, learningRate: 0.01)
        (optimizer.weightDecay, optimizer.beta1, optimizer.beta2) = (0.02, 0.8, 0.9)
        optimizer.epsilon = 0.001
        #expect(run.optimizer == optimizer)
        #expect(run.clip == 3 && run.clipValue == 0.5)
        #expect(run.schedule == LearningRateSchedule(.step(size: 4, gamma: 0.25), unit: .epoch, warmup: 2))
        var upkeep = RunConfiguration.Upkeep(
            checkpointEvery: .steps(50), evaluateEvery: .steps(60), sampleEvery: .seconds(80), keep: 2)
        upkeep.patience = 70
        #expect(run.upkeep == upkeep)
    }

    @Test("So does each flag of the other optimizers and schedules")
    func others() async throws {
        let first = try await configuration(
            "--steps=1", "--batch=4", "--window=8", "--no-bias", "--optimizer=rmsprop", "--momentum=0.5",
            "--alpha=0.75", "--schedule=exponential", "--schedule-gamma=0.5", "--schedule-after=3")
        var optimizer = OptimizerConfiguration(kind: .rmsprop)
        (optimizer.momentum, optimizer.alpha) = (0.5, 0.75)
        #expect(!first.model.bias && first.optimizer == optimizer && first.totalSteps == 1)
        #expect(first.schedule == LearningRateSchedule(.exponential(gamma: 0.5, after: 3)))
        // As many shards as a power of two that is at most 16 and divides the batch.
        #expect(first.shards == 4)
        let second = try await configuration(
            "--steps=1", "--batch=64", "--window=8", "--schedule=cosine", "--schedule-minimum=0.0001",
            "--schedule-size=5")
        #expect(second.schedule == LearningRateSchedule(.cosine(period: 5, minimum: 0.0001)))
        #expect(second.shards == 16 && second.optimizer == OptimizerConfiguration())
    }
}
