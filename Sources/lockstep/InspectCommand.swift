import ArgumentParser
import Checkpoints
import Foundation
import Kernels
import LanguageModel
import Training

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "What a run or a checkpoint holds.")

    @Argument(help: "A run folder or a checkpoint.") var path: String
    @Flag(help: "As JSON.") var json = false

    private struct Report: Encodable {
        struct Model: Encodable {
            var hidden: Int
            var layers: Int
            var vocabulary: Int
            var bias: Bool
            var dropout: Double
        }
        struct Corpus: Encodable {
            var sha256: String
            var characters: Int
        }
        var path: String
        var step: UInt64
        var epoch: UInt64
        var windowIndex: Int
        var seed: UInt64
        var shards: Int
        var parameters: Int
        var model: Model
        var optimizer: OptimizerConfiguration
        var corpus: Corpus
        var validationLoss: Double?
        var bestValidationLoss: Double?
        var parametersDigest: String
        var stateDigest: String
    }

    func run() throws {
        _ = try InstructionSet.select()
        let source = try ModelSource(path: path) { CoordinatorRun.warn($0) }
        guard let checkpoint = source.checkpoint else {
            throw ConfigurationError("\(path): holds a model without the state of a run")
        }
        let configuration = try JSONDecoder().decode(
            RunConfiguration.self, from: Data(checkpoint.configuration.utf8))
        let report = Report(
            path: source.url.path, step: checkpoint.step, epoch: checkpoint.epoch,
            windowIndex: checkpoint.windowIndex, seed: checkpoint.seed, shards: checkpoint.shards,
            parameters: checkpoint.parameters.count,
            model: .init(
                hidden: source.shape.hidden, layers: source.shape.layers, vocabulary: source.shape.vocabulary,
                bias: source.shape.bias, dropout: configuration.dropout),
            optimizer: configuration.optimizer,
            corpus: .init(sha256: checkpoint.corpusSHA256, characters: checkpoint.corpusCharacters),
            validationLoss: checkpoint.validationLoss, bestValidationLoss: checkpoint.bestValidationLoss,
            parametersDigest: hexadecimal(checkpoint.parametersDigest),
            stateDigest: hexadecimal(checkpoint.stateDigest))
        if json {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            show(report, ParameterLayout(source.shape))
        }
    }

    private func show(_ report: Report, _ layout: ParameterLayout) {
        print("\(report.path)")
        print("  step \(report.step), epoch \(report.epoch + 1), window \(report.windowIndex)")
        print(
            "  model: \(report.model.layers) x \(report.model.hidden), vocabulary \(report.model.vocabulary), "
                + "dropout \(report.model.dropout), \(report.parameters) parameters")
        print("  optimizer: \(report.optimizer.kind.rawValue), learning rate \(report.optimizer.learningRate)")
        print("  seed \(report.seed), \(report.shards) shards")
        print("  text: \(report.corpus.characters) characters, SHA-256 \(report.corpus.sha256)")
        if let loss = report.validationLoss { print("  validation loss \(loss)") }
        if let best = report.bestValidationLoss { print("  best validation loss \(best)") }
        print("  parameters \(report.parametersDigest), state \(report.stateDigest)")
        for entry in layout.entries { print("    \(entry.name) \(entry.shape)") }
    }
}
