import ArgumentParser
import Checkpoints
import Foundation
import Kernels
import LanguageModel
import Training

struct SampleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample", abstract: "Text from a trained model, as it is generated.")

    @Argument(help: ArgumentHelp("A run folder or a checkpoint.", valueName: "run")) var source: String
    @Option(help: "Characters to generate.") var length = 1000
    @Option(help: "Text to start from.") var prime = ""
    @Option(help: "Below 1 bolder towards the likely, above 1 wilder; 0 takes the likeliest.") var temperature = 1.0
    @Option(help: "Choose among the K likeliest.") var topK: Int?
    @Option(help: "Choose among the likeliest that together have probability P.") var topP: Double?
    @Option(help: "The same seed gives the same text on any machine.") var seed: UInt64 = 0
    @Flag(help: "Stop at the first line end after the length.") var lines = false
    @Flag(help: "The best checkpoint by validation loss, not the newest.") var best = false

    func validate() throws {
        guard length >= 0 else { throw ValidationError("--length must be 0 or more") }
    }

    func run() throws {
        _ = try InstructionSet.select()
        let sampler = try Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed)
        let model = try ModelSource(path: source, best: best) { CoordinatorRun.warn($0) }
        let engine = ForwardEngine(shape: model.shape, parameters: model.parameters, threads: 1)
        signal(SIGPIPE, SIG_IGN)
        var count = 0
        try TextGenerator.generate(
            engine: engine, shape: model.shape, vocabulary: model.vocabulary, prime: prime,
            length: lines ? length + 10_000 : length, sampler: sampler
        ) { piece in
            count += 1
            var bytes = Array(piece.utf8)
            let isWritten = write(STDOUT_FILENO, &bytes, bytes.count) == bytes.count
            return isWritten && !(lines && count > length && piece == "\n")
        }
        _ = write(STDOUT_FILENO, "\n", 1)
    }
}
