import ArgumentParser
import Foundation
import Kernels
import Training

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "A model file that PyTorch loads.",
        discussion: """
            Writes safetensors with the names of torch.nn.LSTM and torch.nn.Linear, the vocabulary in the metadata, and \
            config.json beside it.
            """)

    @Argument(help: ArgumentHelp("A run folder, a checkpoint or an exported model.", valueName: "run"))
    var source: String
    @Argument(help: "The file to write; or a folder that is there, or ends in a slash: model.safetensors in it.")
    var output: String
    @Flag(help: "The best checkpoint by validation loss, not the newest.") var best = false

    func run() throws {
        _ = try InstructionSet.select()
        let model = try ModelSource(path: source, best: best) { CoordinatorRun.warn($0) }
        let file = try ModelExport.write(model, to: output)
        print("exported \(model.url.path) to \(file.path)")
    }
}
