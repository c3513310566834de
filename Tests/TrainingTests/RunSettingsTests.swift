import Corpus
import LanguageModel
import Testing

@testable import Training

@Suite("Flags over a configuration")
struct RunSettingsTests {
    private static let base = RunSettings.defaults(
        software: "", run: "1234567890abcdef", corpus: .init(path: nil, name: "", sha256: "", characters: 0))

    @Test("What a configuration says of another optimizer or schedule is no flag")
    func otherOptimizer() throws {
        var base = Self.base
        base.optimizer.momentum = 0.9
        base.optimizer.kind = .sgd
        base.schedule.unit = .epoch
        var settings = RunSettings()
        settings.optimizer = .adam
        settings.beta1 = 0.8
        let result = try settings.applied(to: base)
        #expect(result.optimizer.kind == .adam && result.optimizer.beta1 == 0.8 && result.optimizer.momentum == 0.9)
        settings.momentum = 0.9
        #expect(throws: UsageError.self) { try settings.applied(to: base) }
    }

    @Test("Counts of a run that would trap whoever reads them are refused")
    func counts() throws {
        #expect(throws: Never.self) { try Self.base.validate() }
        for steps in [0, UInt64.max] {
            var run = Self.base
            run.stepsPerEpoch = steps
            #expect(throws: ConfigurationError.self) { try run.validate() }
        }
        var run = Self.base
        run.corpus.characters = -1
        #expect(throws: ConfigurationError.self) { try run.validate() }
    }

    @Test("A resume may change how long a run is and how it is cared for, and nothing that its bits depend on")
    func differences() {
        let changes: [(flag: String, change: (inout RunConfiguration) -> Void)] = [
            ("--hidden", { $0.model.hidden += 1 }), ("--layers", { $0.model.layers += 1 }),
            ("--no-bias", { $0.model.bias = false }), ("--dropout", { $0.dropout = 0.25 }),
            ("--initializer", { $0.initializer = .uniform(1) }), ("--forget-bias", { $0.forgetBias = 1 }),
            ("--batch", { $0.batch = 64 }), ("--window", { $0.window = 50 }), ("--validation", { $0.validation = 0 }),
            ("--validation-split", { $0.validationSplit = .columns }), ("--stateless", { $0.stateless = true }),
            ("--shards", { $0.shards = 8 }), ("--seed", { $0.seed = 1 }), ("--clip", { $0.clip = 1 }),
            ("--clip-value", { $0.clipValue = 1 }), ("optimizer", { $0.optimizer.beta1 = 0.5 }),
            ("schedule", { $0.schedule.warmup = 1 }),
        ]
        for (flag, change) in changes {
            var changed = Self.base
            change(&changed)
            let found = changed.differences(from: Self.base)
            #expect(found.count == 1 && found[0].contains(flag), "\(flag): \(found)")
        }
        var longer = Self.base
        longer.totalSteps += 1
        longer.upkeep = .init(checkpointEvery: .never, sampleEvery: .never, keep: 9)
        #expect(longer.differences(from: Self.base).isEmpty)
        // A cosine without a period ends with the run.
        var cosine = Self.base
        cosine.schedule.kind = .cosine(period: nil, minimum: 0)
        longer.schedule = cosine.schedule
        #expect(longer.differences(from: cosine).map { $0.hasPrefix("--steps") } == [true])
    }

    @Test("A value beyond its bound is refused by its flag, and one on it is not")
    func bounds() throws {
        let changes: [(flag: String, good: (inout RunConfiguration) -> Void, bad: (inout RunConfiguration) -> Void)] = [
            ("--dropout", { $0.dropout = 0 }, { $0.dropout = 1 }),
            ("--validation", { $0.validation = 0 }, { $0.validation = 1 }),
            ("--shards", { $0.shards = 128 }, { $0.shards = 3 }),
            ("--clip-value", { $0.clipValue = 1e-9 }, { $0.clipValue = 0 }),
            ("--clip", { $0.clip = 0 }, { $0.clip = -1 }),
            ("--beta1", { $0.optimizer.beta1 = 0 }, { $0.optimizer.beta1 = 1 }),
            ("--beta2", { $0.optimizer.beta2 = 0 }, { $0.optimizer.beta2 = 1 }),
            ("--alpha", { $0.optimizer.alpha = 0 }, { $0.optimizer.alpha = 1 }),
            ("--learning-rate", { $0.optimizer.learningRate = 0 }, { $0.optimizer.learningRate = .infinity }),
            ("--keep", { $0.upkeep.keep = 1 }, { $0.upkeep.keep = 0 }),
            ("--patience", { $0.upkeep.patience = 1 }, { $0.upkeep.patience = 0 }),
            ("raise --shards", { $0.shards = 4 }, { ($0.shards, $0.batch, $0.model.hidden) = (1, 4096, 512) }),
            (
                "--patience", { $0.upkeep.patience = 1 },
                { ($0.upkeep.patience, $0.upkeep.evaluateEvery) = (1, .never) }
            ),
            ("--patience", { $0.upkeep.patience = 1 }, { ($0.upkeep.patience, $0.validation) = (1, 0) }),
        ]
        for (flag, good, bad) in changes {
            var run = Self.base
            good(&run)
            #expect(throws: Never.self, "\(flag)") { try run.validate() }
            run = Self.base
            bad(&run)
            let error = #expect(throws: ConfigurationError.self, "\(flag)") { try run.validate() }
            #expect(error?.description.contains(flag) == true, "\(flag): \(error?.description ?? "")")
        }
    }

    @Test("A flag of 0 takes a bound away, and one that the optimizer has no use for is refused")
    func zeros() throws {
        var base = Self.base
        (base.clipValue, base.upkeep.patience, base.validationSplit) = (1, 3, .columns)
        var settings = RunSettings()
        (settings.clipValue, settings.patience, settings.validationSplit) = (0, 0, .tail)
        let result = try settings.applied(to: base)
        #expect(result.clipValue == nil && result.upkeep.patience == nil && result.validationSplit == nil)
        #expect([1, 6, 48, 128].map(RunConfiguration.defaultShards) == [1, 2, 16, 16])
    }

    @Test("A flag of a schedule leaves the schedule's other values as they are")
    func schedule() throws {
        var base = Self.base
        base.schedule = LearningRateSchedule(.step(size: 70, gamma: 0.5))
        var settings = RunSettings()
        settings.scheduleGamma = 0.9
        #expect(try settings.applied(to: base).schedule.kind == .step(size: 70, gamma: 0.9))
        settings.schedule = .exponential
        #expect(try settings.applied(to: base).schedule.kind == .exponential(gamma: 0.9, after: 0))
    }
}
