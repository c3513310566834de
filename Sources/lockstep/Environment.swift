import ArgumentParser
import Foundation

/// Flags of `coordinator` and `worker` may come from the environment as `LOCKSTEP_<FLAG>`; a flag given wins.
enum Environment {
    /// The arguments with what the environment adds behind them.
    static func completed(_ arguments: [String], environment: [String: String]) -> [String] {
        guard let command = arguments.first, environment.contains(where: { $0.key.hasPrefix("LOCKSTEP_") }) else {
            return arguments
        }
        let flags: [Flag]
        switch command {
        case "worker": flags = self.flags(of: WorkerCommand.self)
        case "coordinator": flags = self.flags(of: CoordinatorCommand.self)
        default: return arguments
        }
        func isGiven(_ name: String) -> Bool {
            arguments.contains { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") }
        }
        var result = arguments
        for flag in flags where !isGiven(flag.name) && !(alternatives[flag.name].map(isGiven) ?? false) {
            let variable = "LOCKSTEP_" + flag.name.uppercased().replacing("-", with: "_")
            guard let value = environment[variable], !value.isEmpty else { continue }
            if flag.takesValue {
                // One word, so that a value that begins with a dash is taken as a value.
                result.append("--\(flag.name)=\(value)")
            } else if ["1", "true", "yes"].contains(value.lowercased()) {
                result.append("--\(flag.name)")
            }
        }
        return result
    }

    /// Two ways to say one thing: the one that is given wins over the other's variable.
    private static let alternatives = [
        "connect": "endpoint-file", "endpoint-file": "connect", "insecure": "keys", "keys": "insecure",
        "epochs": "steps", "steps": "epochs",
    ]

    private struct Flag {
        var name: String
        var takesValue: Bool
    }

    /// From the command's own description, so that no flag is forgotten.
    private static func flags(of command: any ParsableCommand.Type) -> [Flag] {
        guard let tool = try? JSONDecoder().decode(Tool.self, from: Data(command._dumpHelp().utf8)) else {
            preconditionFailure("the argument parser describes a command in another form than it did")
        }
        return (tool.command.arguments ?? []).flatMap { argument in
            (argument.names ?? []).filter { $0.kind == "long" && !["help", "version"].contains($0.name) }.map {
                Flag(name: $0.name, takesValue: argument.kind == "option")
            }
        }
    }

    /// The part of the argument parser's description that counts here.
    private struct Tool: Decodable {
        struct Command: Decodable { var arguments: [Argument]? }
        struct Argument: Decodable {
            var kind: String
            var names: [Name]?
        }
        struct Name: Decodable {
            var kind: String
            var name: String
        }
        var command: Command
    }
}
