import Checkpoints
import Foundation
import Kernels
import LanguageModel
import Training

/// What `inspect --json` says. Of an exported model only what a model has.
struct InspectReport: Encodable {
    struct Model: Encodable {
        var hidden: Int
        var layers: Int
        var vocabulary: Int
        var bias: Bool
        var dropout: Double?
    }

    struct Corpus: Encodable {
        var sha256: String
        var characters: Int
    }

    var path: String
    var fileBytes: Int?
    var step: UInt64?
    var epoch: UInt64?
    var windowIndex: Int?
    var seed: UInt64?
    var shards: Int?
    var parameters: Int
    var model: Model
    var optimizer: OptimizerConfiguration?
    var corpus: Corpus?
    var validationLoss: Double?
    var bestValidationLoss: Double?
    var parametersDigest: String
    var stateDigest: String?
    /// With `--verify`.
    var verification: RunVerification?

    init(_ source: ModelSource, _ configuration: RunConfiguration?) {
        path = source.url.path
        fileBytes = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? nil
        parameters = source.parameters.count
        model = Model(
            hidden: source.shape.hidden, layers: source.shape.layers, vocabulary: source.shape.vocabulary,
            bias: source.shape.bias, dropout: configuration?.dropout)
        optimizer = configuration?.optimizer
        parametersDigest = digest(source.parameters).hexadecimal
        guard let checkpoint = source.checkpoint else { return }
        step = checkpoint.step
        epoch = checkpoint.epoch
        windowIndex = checkpoint.windowIndex
        seed = checkpoint.seed
        shards = checkpoint.shards
        corpus = Corpus(sha256: checkpoint.corpusSHA256, characters: checkpoint.corpusCharacters)
        validationLoss = checkpoint.validationLoss
        bestValidationLoss = checkpoint.bestValidationLoss
        stateDigest = checkpoint.stateDigest.hexadecimal
    }
}
