import ArgumentParser
import Checkpoints
import Corpus
import Foundation
import Kernels
import LanguageModel
import Training

struct SampleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract: "Text from a trained model, as it is generated.",
        discussion: """
            The same model, seed and flags give the same text on any machine. Of several samples the K-th has the seed \
            S + K - 1, and is the text that this seed gives alone.
            """)

    @Argument(help: ArgumentHelp("A run folder, a checkpoint or an exported model.", valueName: "run"))
    var source: String
    @Option(help: "Characters to generate. (default: 1000, interactively 200)") var length: Int?
    @Option(help: "Text to start from.") var prime = ""
    @Option(help: "Below 1 bolder towards the likely, above 1 wilder; 0 takes the likeliest.") var temperature = 1.0
    @Option(help: "Choose among the K likeliest.") var topK: Int?
    @Option(help: "Choose among the likeliest that together have probability P.") var topP: Double?
    @Option(help: "The seed of the choices.") var seed: UInt64 = 0
    @Option(help: "Samples, computed side by side.") var count = 1
    @Flag(help: "Stop at the first line end after the length.") var lines = false
    @Flag(help: "Read lines from standard input and go on from each; the state is kept.") var interactive = false
    @Flag(help: "Read a character that the model lacks as a space, in place of an error.") var replaceUnknown = false
    @Option(help: "Threads that share the columns of the products, for one sample as for several.") var threads = 1
    @Flag(help: "The best checkpoint by validation loss, not the newest.") var best = false

    private static let isOnTerminal = isatty(STDOUT_FILENO) == 1

    /// What a sample may go on beyond its length to reach a line end.
    private static let overrun = 10_000

    func validate() throws {
        guard 0...1_000_000_000_000 ~= length ?? 0 else {
            throw ValidationError("--length must be from 0 to 1,000,000,000,000")
        }
        guard (1...4096).contains(count) else { throw ValidationError("--count must be from 1 to 4096") }
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be from 1 to 1024") }
        do { _ = try Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed) } catch {
            throw ValidationError(error.description)
        }
        guard !interactive || count == 1 else { throw ValidationError("--interactive goes on with one sample") }
    }

    func run() throws {
        _ = try InstructionSet.select()
        let samplers = try (0..<count).map {
            try Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed &+ UInt64($0))
        }
        let model = try ModelSource(path: source, best: best) { CoordinatorRun.warn($0) }
        let engine = ForwardEngine(shape: model.shape, parameters: model.parameters, threads: threads)
        let generator = TextGenerator(
            engine: engine, shape: model.shape, vocabulary: model.vocabulary, samplers: samplers)
        // A reader that has enough is no fault.
        signal(SIGPIPE, SIG_IGN)
        let prime = known(prime, model.vocabulary)
        try generator.read(prime)
        if interactive { return try converse(generator, prime, model.vocabulary) }
        if count == 1 {
            guard try write(prime), try generate(generator) else { return }
            try write("\n")
        } else {
            try generateAll(generator, prime)
        }
    }

    /// One sample, or the next stretch of it, written as it comes.
    ///
    /// - Returns: whether somebody still reads.
    private func generate(_ generator: TextGenerator) throws -> Bool {
        let length = length ?? (interactive ? 200 : 1000)
        for number in 1...(lines ? length + Self.overrun : max(length, 1)) where lines || length > 0 {
            let scalar = try generator.next()[0]
            guard try write(String(scalar)) else { return false }
            if lines, number > length, scalar == "\n" { break }
        }
        return true
    }

    /// Several samples side by side, each below a line that names it: the first as it comes, the others when they end.
    private func generateAll(_ generator: TextGenerator, _ prime: String) throws {
        let length = length ?? 1000
        func title(_ row: Int) -> String { "--- sample \(row + 1) of \(count), seed \(seed &+ UInt64(row))\n" }
        guard try write(title(0) + prime) else { return }
        var texts = [String.UnicodeScalarView](repeating: .init(), count: count)
        var isOpen = [Bool](repeating: true, count: count)
        for number in 1...(lines ? length + Self.overrun : max(length, 1)) where lines || length > 0 {
            for (row, scalar) in try generator.next().enumerated() where isOpen[row] {
                if row == 0 {
                    guard try write(String(scalar)) else { return }
                } else {
                    texts[row].append(scalar)
                }
                if lines, number > length, scalar == "\n" { isOpen[row] = false }
            }
            if !isOpen.contains(true) { break }
        }
        try write("\n")
        for row in 1..<count {
            guard try write(title(row) + prime + String(texts[row]) + "\n") else { return }
        }
    }

    private func converse(_ generator: TextGenerator, _ prime: String, _ vocabulary: Vocabulary) throws {
        let isTerminal = isatty(STDIN_FILENO) == 1
        guard try write(prime) else { return }
        while true {
            if isTerminal { try write("\n> ") }
            guard let line = readLine() else { break }
            do {
                try generator.read(known(line, vocabulary), name: "the line")
            } catch {
                FileHandle.standardError.write(Data("\(error)\n".utf8))
                continue
            }
            guard try generate(generator), try write("\n") else { return }
        }
        if isTerminal { try write("\n") }
    }

    /// The text as the model is to read it.
    private func known(_ text: String, _ vocabulary: Vocabulary) -> String {
        guard replaceUnknown else { return text }
        let (result, replaced, substitute) = vocabulary.replacingUnknown(in: text)
        if replaced > 0 {
            CoordinatorRun.warn(
                "\(replaced) character\(replaced == 1 ? "" : "s") that the model lacks, read as \(printable(substitute))"
            )
        }
        return result
    }

    /// Writes a text as it is; to a terminal, which would obey the control characters of a vocabulary, without them but for
    /// those of line ends and tabs.
    ///
    /// - Returns: whether somebody still reads.
    /// - Throws: an error where nothing can be written for another reason, such as a full disk.
    @discardableResult
    private func write(_ text: String) throws -> Bool {
        let text = Self.isOnTerminal ? text.withVisibleControls(but: ["\n", "\r", "\t"]) : text
        let code = writeWhole(Array(text.utf8), to: STDOUT_FILENO)
        guard code == 0 || code == EPIPE else {
            throw ConfigurationError("standard output cannot be written: \(String(cString: strerror(code)))")
        }
        return code == 0
    }
}
