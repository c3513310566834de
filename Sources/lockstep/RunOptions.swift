import ArgumentParser
import Corpus
import LanguageModel
import Training

extension Interval: ExpressibleByArgument {}
extension Initializer: ExpressibleByArgument {
    public var defaultValueDescription: String { description }
}
extension OptimizerConfiguration.Kind: ExpressibleByArgument {}
extension LearningRateSchedule.Unit: ExpressibleByArgument {}
extension RunSettings.ScheduleName: ExpressibleByArgument {}
extension ValidationSplit.Kind: ExpressibleByArgument {}

/// What `train` and `coordinator` share: the model, the text, the optimizer, the run folder.
struct RunOptions: ParsableArguments {
    @Argument(
        help: """
            A UTF-8 text. Without it: that of --config, or of the run that --resume goes on with, else the built-in demo \
            corpus, whose best possible loss is known.
            """)
    var corpus: String?

    @OptionGroup(title: "Run") var basics: BasicOptions
    @OptionGroup(title: "Run") var arithmetic: ArithmeticOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Model") var beginning: BeginningOptions
    @OptionGroup(title: "Text") var text: TextOptions
    @OptionGroup(title: "Optimizer") var optimizer: OptimizerOptions
    @OptionGroup(title: "Learning rate") var rate: RateOptions
    @OptionGroup(title: "Checkpoints, evaluation and samples") var upkeep: UpkeepOptions

    var settings: RunSettings {
        var settings = RunSettings()
        basics.set(&settings)
        arithmetic.set(&settings)
        model.set(&settings)
        text.set(&settings)
        optimizer.set(&settings)
        rate.set(&settings)
        upkeep.set(&settings)
        return settings
    }
}

struct BasicOptions: ParsableArguments {
    @Option(help: "The run folder. (default: runs/<corpus name>, numbered when taken)") var run: String?
    @Flag(help: "Continue the run folder's run from its newest whole checkpoint.") var resume = false
    @Option(help: "Take settings and text from this run.json; flags and CORPUS win over it.") var config: String?
    @Option(help: "Times through the text. (default: 20)") var epochs: UInt64?
    @Option(help: "Updates in all, in place of --epochs.") var steps: UInt64?
    @Flag(help: "Print nothing but warnings and errors.") var quiet = false

    fileprivate func set(_ settings: inout RunSettings) {
        settings.epochs = epochs
        settings.steps = steps
    }
}

// These groups are those of `bench` too.

struct ArithmeticOptions: ParsableArguments {
    @Option(help: "The seed of initial parameters and dropout. (default: 0)") var seed: UInt64?
    @Option(help: "Leaves of the reduction tree; part of the run's identity. (default: at most 16, a power of two)")
    var shards: Int?

    func set(_ settings: inout RunSettings) {
        settings.seed = seed
        settings.shards = shards
    }
}

struct ModelOptions: ParsableArguments {
    @Option(help: "Units of each LSTM layer. (default: 512)") var hidden: Int?
    @Option(help: "LSTM layers, one on the other. (default: 2)") var layers: Int?
    @Option(help: "Dropout between layers and before the output, 0 for none. (default: 0.5)") var dropout: Double?
    @Flag(name: .customLong("no-bias"), help: "LSTM layers without biases.") var noBias = false
    @Option(help: "How parameters are drawn: torch (the same bits as PyTorch), or uniform:R. (default: torch)")
    var initializer: Initializer?
    @Option(help: "Set the forget gates' bias to this after drawing.") var forgetBias: Float?

    func set(_ settings: inout RunSettings) {
        settings.hidden = hidden
        settings.layers = layers
        settings.dropout = dropout
        settings.bias = noBias ? false : nil
        settings.initializer = initializer
        settings.forgetBias = forgetBias
    }
}

struct TextOptions: ParsableArguments {
    @Option(help: "Rows of the global batch. (default: 128)") var batch: Int?
    @Option(help: "Characters of a row in one step. (default: 100)") var window: Int?
    @Option(help: "What to hold out of the text, as a fraction; 0 for none. (default: 0.1)")
    var validation: Double?
    @Option(help: "Hold out the text's tail, or the last columns of the rows, as char-rnn does. (default: tail)")
    var validationSplit: ValidationSplit.Kind?
    @Flag(help: "Reset the recurrent state at every window, not at every epoch.") var stateless = false
    @Option(help: "Take the vocabulary from this vocabulary.json.") var vocabulary: String?

    func set(_ settings: inout RunSettings) {
        settings.batch = batch
        settings.window = window
        settings.validation = validation
        settings.validationSplit = validationSplit
        settings.stateless = stateless ? true : nil
    }
}

struct OptimizerOptions: ParsableArguments {
    @Option(help: "adam, adamw, rmsprop or sgd. (default: adam)") var optimizer: OptimizerConfiguration.Kind?
    @Option(help: "The share of the velocity that is kept, of sgd and rmsprop. (default: 0)") var momentum: Double?
    @Option(help: "The pull of the parameters towards 0: by the gradient, with adamw beside it. (default: 0)")
    var weightDecay: Double?
    @Option(help: "Decay of the mean of gradients, of adam and adamw. (default: 0.9)") var beta1: Double?
    @Option(help: "Decay of the mean of their squares, of adam and adamw. (default: 0.999)") var beta2: Double?
    @Option(help: "Keeps divisors above 0, of all but sgd. (default: 1e-8)") var epsilon: Double?
    @Option(help: "Decay of the mean of squares, of rmsprop. (default: 0.99)") var alpha: Double?
    @Option(help: "Largest global norm of the gradient, 0 for none. (default: 5)") var clip: Double?
    @Option(help: "Clamp each element of the gradient to this, after --clip; 0 for none. (default: 0)")
    var clipValue: Double?

    func set(_ settings: inout RunSettings) {
        settings.optimizer = optimizer
        settings.momentum = momentum
        settings.weightDecay = weightDecay
        settings.beta1 = beta1
        settings.beta2 = beta2
        settings.epsilon = epsilon
        settings.alpha = alpha
        settings.clip = clip
        settings.clipValue = clipValue
    }
}

/// A run that begins, and no benchmark.
struct BeginningOptions: ParsableArguments {
    @Option(help: "Start from this model: a run, a checkpoint or an exported model, which gives shape and vocabulary.")
    var initializeFrom: String?
}

struct RateOptions: ParsableArguments {
    @Option(help: "What the schedule and the warm-up begin from. (default: 0.001)") var learningRate: Double?
    @Option(help: "Steps of linear warm-up. (default: 0)") var warmup: UInt64?
    @Option(help: "What follows: constant, step, exponential or cosine. (default: constant)")
    var schedule: RunSettings.ScheduleName?
    @Option(help: "The schedule's clock: step or epoch. (default: step)") var scheduleUnit: LearningRateSchedule.Unit?
    @Option(help: "Units between decays (step, default: 1000), or of half a wave (cosine, default: to the run's end).")
    var scheduleSize: UInt64?
    @Option(help: "Factor of a decay (step, default: 0.5; exponential, default: 0.97).") var scheduleGamma: Double?
    @Option(help: "The first unit that decays (exponential, default: 1).") var scheduleAfter: UInt64?
    @Option(help: "Lowest rate (cosine, default: 0).") var scheduleMinimum: Double?

    fileprivate func set(_ settings: inout RunSettings) {
        settings.learningRate = learningRate
        settings.warmup = warmup
        settings.schedule = schedule
        settings.scheduleUnit = scheduleUnit
        settings.scheduleSize = scheduleSize
        settings.scheduleGamma = scheduleGamma
        settings.scheduleAfter = scheduleAfter
        settings.scheduleMinimum = scheduleMinimum
    }
}

struct UpkeepOptions: ParsableArguments {
    @Option(help: "Steps, or a duration such as 60s or 5m; 0 for never. (default: 60s)") var checkpointEvery: Interval?
    @Option(help: "Checkpoints to keep beside the best. (default: 3)") var keep: Int?
    @Option(help: "Steps or a duration; 0 for never. (default: once an epoch)") var evaluateEvery: Interval?
    @Option(help: "End after so many evaluations in a row without a better validation loss; 0 for never. (default: 0)")
    var patience: Int?
    @Option(help: "Steps or a duration; 0 for never. (default: 60s)") var sampleEvery: Interval?

    fileprivate func set(_ settings: inout RunSettings) {
        settings.checkpointEvery = checkpointEvery
        settings.keep = keep
        settings.evaluateEvery = evaluateEvery
        settings.patience = patience
        settings.sampleEvery = sampleEvery
    }
}
