import Corpus
import Foundation
import Kernels
import LanguageModel
import SeededNumbers

@testable import Training

/// A small model of the letters from a to e, drawn from a seed, and text for it.
enum LetterModel {
    static let shape = ModelShape(vocabulary: 5, hidden: 9, layers: 2)
    static let parameters = Initializer.uniform(0.5).initialise(
        layout: ParameterLayout(shape), shape: shape, seed: 3, forgetBias: nil)

    /// `count` letters in no order; the first five are all of them.
    static func text(_ count: Int) throws -> EncodedCorpus {
        var random = SplitMix64(seed: 7)
        let letters = Array("abcde")
        let text = (0..<count).map { $0 < 5 ? letters[$0] : letters[Int(random.next() % 5)] }
        return try EncodedCorpus(text: String(text))
    }
}

extension StepRecord {
    static func example(_ step: UInt64, loss: Double = 1.5) -> StepRecord {
        StepRecord(
            step: step, epoch: 1, loss: loss, gradientNorm: 2, learningRate: 0.25, charactersPerSecond: 8,
            stepSeconds: 0.5, workers: 3, digest: 1)
    }
}

/// Gives `body` a run that has just begun on the built-in text; its folder is deleted afterwards.
func withNewRun(hidden: Int, optimizer: OptimizerConfiguration.Kind? = nil, _ body: (TrainingJob) throws -> Void) throws
{
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("run-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    var settings = RunSettings()
    (settings.hidden, settings.layers, settings.optimizer) = (hidden, 1, optimizer)
    let request = RunPreparation.Request(
        corpus: nil, settings: settings, run: path, resume: false, configurationFile: nil, vocabularyFile: nil,
        initialModel: nil, software: "1")
    let (job, lock) = try RunPreparation.prepare(request) { _ in }
    defer { withExtendedLifetime(lock) {} }
    try body(job)
}
