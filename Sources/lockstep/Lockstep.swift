import ArgumentParser
import Foundation
import Training

@main
struct Lockstep: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lockstep",
        abstract: "Trains character-level language models on many CPU processes, with the same bits however many.",
        discussion: """
            Quick start:
              lockstep train                            the built-in demo text
              lockstep train book.txt                   your own, into runs/book
              lockstep train --run runs/book --resume   goes on after Ctrl-C
              lockstep status runs/book                 who works, who waits, and why
              lockstep sample runs/book --prime "The "
              lockstep evaluate runs/book other.txt
              lockstep export runs/book book-model/     for PyTorch

            Workers on other hosts:
              lockstep keys cluster                     says what each host needs
              lockstep coordinator book.txt --listen tcp://0.0.0.0:5757 \\
                --keys cluster/coordinator
              lockstep worker --connect tcp://HOST:5757 --keys cluster/worker

            Exit codes: 0 done; 1 failed; 2 interrupted, resume with --resume; 64 bad usage.
            """,
        version: Version.withCommit,
        subcommands: [
            TrainCommand.self, CoordinatorCommand.self, WorkerCommand.self, KeysCommand.self, PlanCommand.self,
            StatusCommand.self, DashboardCommand.self, SampleCommand.self, EvaluateCommand.self, InspectCommand.self,
            ExportCommand.self, ImportCommand.self, BenchCommand.self,
        ])

    static func main() {
        var arguments: [String] = []
        var variables: [String: String] = [:]
        do {
            (arguments, variables) = try Environment.completed(
                Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
            arguments = Arguments.prepared(arguments)
            try Arguments.checkNoneIsEmpty(arguments)
            var command = try parseAsRoot(arguments)
            try command.run()
        } catch {
            let isHelp = exitCode(for: error).isSuccess
            guard isHelp else { fail(error, arguments, variables) }
            print(fullMessage(for: error))
        }
        // What was printed lies in a buffer, and its end would lose it without a word. A reader that has gone is no error.
        guard fflush(nil) != 0, errno != EPIPE else { return }
        fail(ConfigurationError("cannot write to standard output: \(String(cString: strerror(errno)))"))
    }

    /// - Parameter variables: of each flag that came from the environment the variable, named where the flag is to blame.
    private static func fail(
        _ error: any Error, _ arguments: [String] = [], _ variables: [String: String] = [:]
    ) -> Never {
        var (text, code) = (fullMessage(for: error), exitCode(for: error))
        if error is UsageError {
            code = .validationFailure
        } else if let complaint = Arguments.negativeNumber(in: arguments, refusedBy: message(for: error)) {
            text = "Error: \(complaint)"
        }
        if !text.isEmpty {
            // The parser's own has its hints below.
            let isParsers = exitCode(for: error) == .validationFailure
            let end = isParsers ? text.firstIndex(of: "\n") ?? text.endIndex : text.endIndex
            var line = String(text[..<end]).onOneLine
            let words = line.split { !($0.isLetter || $0.isNumber || $0 == "-") }
            for (flag, variable) in variables.sorted(by: <)
            where code == .validationFailure && words.contains(Substring(flag)) {
                line += " (\(flag) comes from \(variable))"
            }
            FileHandle.standardError.write(Data("\(line)\(String(text[end...]).withVisibleControls)\n".utf8))
        }
        exit(withError: code)
    }
}
