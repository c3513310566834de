import ArgumentParser
import Foundation
import Training

/// Flags of `coordinator` and `worker` may come from the environment as `LOCKSTEP_<FLAG>`; a flag given wins. A worker that
/// another process of this program started takes none: what it needs stands on its command line, and the rest is not
/// meant for it.
enum Environment {
    /// - Returns: the arguments with what the environment adds behind the flags, and of each flag that it adds the variable.
    /// - Throws: `UsageError` for a variable of a flag without a value that says neither yes nor no.
    static func completed(
        _ arguments: [String], environment: [String: String]
    ) throws(UsageError) -> (arguments: [String], variables: [String: String]) {
        guard let command = arguments.first, environment[ParentWatch.variable] == nil,
            environment.contains(where: { $0.key.hasPrefix("LOCKSTEP_") })
        else { return (arguments, [:]) }
        let flags: [Flag]
        switch command {
        case "worker": flags = self.flags(of: WorkerCommand.self)
        case "coordinator": flags = self.flags(of: CoordinatorCommand.self)
        default: return (arguments, [:])
        }
        // What stands behind it is no flag.
        let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
        func isGiven(_ name: String) -> Bool {
            arguments[..<end].contains { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") }
        }
        func variable(_ name: String) -> String { "LOCKSTEP_" + name.uppercased().replacing("-", with: "_") }
        func isOn(_ name: String) throws(UsageError) -> Bool {
            try isYes(environment[variable(name)] ?? "", of: variable(name))
        }
        var isResume = isGiven("resume")
        if !isResume, flags.contains(where: { $0.name == "resume" }) { isResume = try isOn("resume") }
        var added: [String] = []
        var variables: [String: String] = [:]
        func add(_ word: String, of name: String) {
            added.append(word)
            variables["--\(name)"] = variable(name)
        }
        for flag in flags where !isGiven(flag.name) && !(alternatives[flag.name] ?? []).contains(where: isGiven) {
            if isResume, beginnings.contains(flag.name) { continue }
            // It may be set for all starts, and the page be off for this one.
            if flag.name == "dashboard-token", isOff("dashboard", in: arguments[..<end] + added) { continue }
            if flag.takesValue {
                // One word, so that a value that begins with a dash is taken as a value.
                if let value = environment[variable(flag.name)], !value.isEmpty {
                    add("--\(flag.name)=\(value)", of: flag.name)
                }
            } else if try isOn(flag.name) {
                add("--\(flag.name)", of: flag.name)
            }
        }
        return (arguments[..<end] + added + arguments[end...], variables)
    }

    private static func isYes(_ value: String, of variable: String) throws(UsageError) -> Bool {
        switch value.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off", "": return false
        default: throw UsageError("\(variable) is yes or no, not '\(value)': set it to 1 or 0")
        }
    }

    private static func isOff(_ name: String, in words: ArraySlice<String>) -> Bool {
        words.contains("--\(name)=off") || zip(words, words.dropFirst()).contains { $0 == ("--\(name)", "off") }
    }

    /// Flags that, given, win over the variable of another: they say the same in another way, or leave it nothing to say.
    private static let alternatives = [
        "connect": ["endpoint-file"], "endpoint-file": ["connect"], "insecure": ["keys"], "keys": ["insecure"],
        "allow": ["insecure"], "epochs": ["steps"], "steps": ["epochs"],
    ]

    /// What a run begins from: nothing to a resume. A service keeps its environment when it is started again with one.
    private static let beginnings: Set = ["config", "initialize-from"]

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
