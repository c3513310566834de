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
