package import Corpus
package import LanguageModel

/// What a user asked for: nil where a flag was not given, so that a resume can tell what was changed.
package struct RunSettings: Sendable {
    /// The schedules of the learning rate, by the names of `--schedule`.
    package enum ScheduleName: String, CaseIterable, Sendable { case constant, step, exponential, cosine }

    // Model
    package var hidden: Int?
    package var layers: Int?
    package var dropout: Double?
    package var bias: Bool?
    package var initializer: Initializer?
    package var forgetBias: Float?
    // Data
    package var batch: Int?
    package var window: Int?
    package var validation: Double?
    package var validationSplit: ValidationSplit.Kind?
    package var stateless: Bool?
    package var shards: Int?
    package var seed: UInt64?
    // Optimizer
    package var optimizer: OptimizerConfiguration.Kind?
    package var learningRate: Double?
    package var momentum: Double?
    package var weightDecay: Double?
    package var beta1: Double?
    package var beta2: Double?
    package var epsilon: Double?
    package var alpha: Double?
    package var clip: Double?
    package var clipValue: Double?
    package var schedule: ScheduleName?
    package var scheduleUnit: LearningRateSchedule.Unit?
    package var scheduleSize: UInt64?
    package var scheduleGamma: Double?
    package var scheduleAfter: UInt64?
    package var scheduleMinimum: Double?
    package var warmup: UInt64?
    // Length
    package var epochs: UInt64?
    package var steps: UInt64?
    // Upkeep
    package var checkpointEvery: Interval?
    package var evaluateEvery: Interval?
    package var sampleEvery: Interval?
    package var keep: Int?
    /// 0 for none.
    package var patience: Int?

    package init() {}

    /// The defaults of a new run. The text decides the vocabulary and the length of an epoch later.
    static func defaults(software: String, run: String, corpus: RunConfiguration.Corpus) -> RunConfiguration {
        RunConfiguration(
            software: software, run: run, corpus: corpus, model: ModelShape(vocabulary: 2, hidden: 512, layers: 2),
            dropout: 0.5, initializer: .torch, forgetBias: nil, batch: 128, window: 100, validation: 0.1,
            stateless: false, shards: 16, seed: 0, optimizer: OptimizerConfiguration(), clip: 5,
            schedule: LearningRateSchedule(), totalSteps: 1, stepsPerEpoch: 1, upkeep: .init())
    }

    /// Lays what was asked for over `base`.
    ///
    /// - Throws: ``UsageError`` where flags contradict each other.
    func applied(to base: RunConfiguration) throws(UsageError) -> RunConfiguration {
        var result = base
        func set<Value>(_ path: WritableKeyPath<RunConfiguration, Value>, _ value: Value?) {
            if let value { result[keyPath: path] = value }
        }
        set(\.model.hidden, hidden)
        set(\.model.layers, layers)
        set(\.model.bias, bias)
        set(\.dropout, dropout)
        set(\.initializer, initializer)
        if let forgetBias { result.forgetBias = forgetBias }
        set(\.batch, batch)
        set(\.window, window)
        set(\.validation, validation)
        set(\.stateless, stateless)
        set(\.seed, seed)
        set(\.optimizer.kind, optimizer)
        set(\.optimizer.learningRate, learningRate)
        set(\.optimizer.momentum, momentum)
        set(\.optimizer.weightDecay, weightDecay)
        set(\.optimizer.beta1, beta1)
        set(\.optimizer.beta2, beta2)
        set(\.optimizer.epsilon, epsilon)
        set(\.optimizer.alpha, alpha)
        set(\.clip, clip)
        set(\.upkeep.checkpointEvery, checkpointEvery)
        set(\.upkeep.sampleEvery, sampleEvery)
        set(\.upkeep.keep, keep)
        if let validationSplit { result.validationSplit = validationSplit == .tail ? nil : validationSplit }
        if let clipValue { result.clipValue = clipValue == 0 ? nil : clipValue }
        if let patience { result.upkeep.patience = patience == 0 ? nil : patience }
        if let evaluateEvery { result.upkeep.evaluateEvery = evaluateEvery }
        if let shards {
            result.shards = shards
        } else if batch != nil, result.batch > 0 {
            result.shards = RunConfiguration.defaultShards(batch: result.batch)
        }
        if forgetBias != nil, !result.model.bias {
            throw UsageError("--forget-bias sets a bias, and does nothing with --no-bias: leave one of them out")
        }
        result.schedule = try resolvedSchedule(over: base.schedule)
        // Where neither was given, a run that another version began so goes on.
        if scheduleMinimum ?? learningRate != nil, case .cosine(_, let minimum) = result.schedule.kind,
            minimum > result.optimizer.learningRate
        {
            throw UsageError(
                "--schedule-minimum \(minimum) is above --learning-rate \(result.optimizer.learningRate), which falls to it: "
                    + "lower it")
        }
        try checkOptimizerFlags(of: result.optimizer.kind)
        if epochs != nil && steps != nil {
            throw UsageError("--epochs and --steps both say how long to train: give one")
        }
        return result
    }

    private func checkOptimizerFlags(of kind: OptimizerConfiguration.Kind) throws(UsageError) {
        try Self.check(
            [
                ("--momentum", momentum != nil, [.rmsprop, .sgd]),
                ("--beta1", beta1 != nil, [.adam, .adamw]),
                ("--beta2", beta2 != nil, [.adam, .adamw]),
                ("--epsilon", epsilon != nil, [.adam, .adamw, .rmsprop]),
                ("--alpha", alpha != nil, [.rmsprop]),
            ], of: "--optimizer", kind)
    }

    /// - Throws: ``UsageError`` for a flag that was given and does nothing, as `choice` is none of those that use it.
    private static func check<Choice: RawRepresentable<String> & Equatable>(
        _ details: [(flag: String, isGiven: Bool, users: [Choice])], of flag: String, _ choice: Choice
    ) throws(UsageError) {
        for detail in details where detail.isGiven && !detail.users.contains(choice) {
            let users = detail.users.map(\.rawValue).joined(separator: " or ")
            throw UsageError("\(detail.flag) belongs to \(flag) \(users), and does nothing with \(choice.rawValue)")
        }
    }

    private func resolvedSchedule(over base: LearningRateSchedule) throws(UsageError) -> LearningRateSchedule {
        var result = base
        if let warmup { result.warmup = warmup }
        if let scheduleUnit { result.unit = scheduleUnit }
        let details: [(flag: String, isGiven: Bool, users: [ScheduleName])] = [
            ("--schedule-unit", scheduleUnit != nil, [.step, .exponential, .cosine]),
            ("--schedule-size", scheduleSize != nil, [.step, .cosine]),
            ("--schedule-gamma", scheduleGamma != nil, [.step, .exponential]),
            ("--schedule-after", scheduleAfter != nil, [.exponential]),
            ("--schedule-minimum", scheduleMinimum != nil, [.cosine]),
        ]
        let name = schedule ?? base.kind.name
        try Self.check(details, of: "--schedule", name)
        switch name == base.kind.name ? base.kind : name.defaults {
        case .constant: result.kind = .constant
        case .step(let size, let gamma):
            result.kind = .step(size: scheduleSize ?? size, gamma: scheduleGamma ?? gamma)
        case .exponential(let gamma, let after):
            result.kind = .exponential(gamma: scheduleGamma ?? gamma, after: scheduleAfter ?? after)
        case .cosine(let period, let minimum):
            result.kind = .cosine(period: scheduleSize ?? period, minimum: scheduleMinimum ?? minimum)
        }
        do { try result.validate() } catch { throw UsageError(error.description) }
        return result
    }

    /// The length in steps, once the length of an epoch is known.
    ///
    /// - Throws: ``UsageError`` for epochs that have no step, or more than a run can.
    func totalSteps(stepsPerEpoch: UInt64, base: UInt64?) throws(UsageError) -> UInt64 {
        if let steps { return steps }
        guard let epochs else { return base ?? 20 * stepsPerEpoch }
        let most = RunConfiguration.maximumSteps / stepsPerEpoch
        guard epochs >= 1 && epochs <= most else {
            throw UsageError(
                "--epochs must be from 1 to \(most), of \(stepsPerEpoch) steps each on this text, not \(epochs)")
        }
        return epochs * stepsPerEpoch
    }
}

extension RunSettings.ScheduleName {
    fileprivate var defaults: LearningRateSchedule.Kind {
        switch self {
        case .constant: .constant
        case .step: .step(size: 1000, gamma: 0.5)
        case .exponential: .exponential(gamma: 0.97, after: 0)
        case .cosine: .cosine(period: nil, minimum: 0)
        }
    }
}

extension LearningRateSchedule.Kind {
    fileprivate var name: RunSettings.ScheduleName {
        switch self {
        case .constant: .constant
        case .step: .step
        case .exponential: .exponential
        case .cosine: .cosine
        }
    }
}

extension RunConfiguration {
    /// Flags that a resume may not change, with what was asked and what the run has.
    func differences(from run: RunConfiguration) -> [String] {
        var found: [String] = []
        func compare<Value: Equatable>(_ flag: String, _ path: KeyPath<RunConfiguration, Value>) {
            if self[keyPath: path] != run[keyPath: path] {
                found.append("\(flag) is \(run[keyPath: path]) in the run, not \(self[keyPath: path])")
            }
        }
        compare("--hidden", \.model.hidden)
        compare("--layers", \.model.layers)
        if model.bias != run.model.bias { found.append("--no-bias: the run's model has biases") }
        compare("--dropout", \.dropout)
        compare("--initializer", \.initializer)
        compare("--forget-bias", \.forgetBiasText)
        compare("--batch", \.batch)
        compare("--window", \.window)
        compare("--validation", \.validation)
        compare("--validation-split", \.heldOut)
        compare("--stateless", \.stateless)
        compare("--shards", \.shards)
        compare("--seed", \.seed)
        compare("--clip", \.clip)
        compare("--clip-value", \.clampedTo)
        if optimizer != run.optimizer {
            found.append("the optimizer's settings differ from the run's in run.json: leave them out")
        }
        if schedule != run.schedule {
            found.append("the learning-rate schedule differs from the run's in run.json: leave it out")
        }
        if case .cosine(nil, _) = run.schedule.kind { compare("--steps", \.totalSteps) }
        return found
    }

    private var heldOut: ValidationSplit.Kind { validationSplit ?? .tail }
    private var clampedTo: Double { clipValue ?? 0 }
    private var forgetBiasText: String { forgetBias.map { "\($0)" } ?? "as drawn" }
}
