import ArgumentParser
import Foundation
import Kernels
import Training

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "A run from a model file, of lockstep export or of PyTorch.",
        discussion: """
            The file is safetensors with the names lstm.weight_ih_l0 and so on, fc.weight and fc.bias. The run can be \
            sampled at once, and trains on with lockstep train TEXT --run OUTPUT --resume.
            """)

    @Argument(help: "A safetensors file.") var model: String
    @Argument(help: "The run folder to make.") var output: String
    @Option(help: "What stands in front of the model's names in the file, such as model.") var prefix = ""
    @Option(
        help: """
            The model's characters: a vocabulary.json, or JSON with a list of the characters in the order of their tokens, \
            or an object from characters to tokens. (default: from the file's metadata)
            """)
    var vocabulary: String?

    func run() throws {
        _ = try InstructionSet.select()
        let folder = try ModelImport.makeRun(
            of: model, prefix: prefix, vocabularyFile: vocabulary, run: output, software: Version.text)
        print("imported \(model) into \(folder.url.path)")
        print("train on with: lockstep train TEXT --run \(output) --resume")
    }
}
