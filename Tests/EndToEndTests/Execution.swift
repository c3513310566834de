import Foundation
import Glibc
import Testing

/// A `lockstep` process, killed when the object is let go.
final class Execution {
    struct Result {
        /// The exit code; for a process that a signal ended, its number with a minus sign.
        var code: Int32
        var output: String
        var errors: String

        /// The lines of the standard error.
        var errorLines: [String] {
            errors.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        }
    }

    private let process = Process()
    private let output: URL
    private let errors: URL

    /// Starts `lockstep` with `arguments` in `folder`, with `environment` on top of this process's own.
    ///
    /// - Parameters:
    ///   - input: a file in the folder that it reads as its standard input; nothing without one.
    ///   - launcher: a program and its arguments that turns into `lockstep`, whose path and arguments come behind.
    init(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:], input: String? = nil,
        launcher: [String] = []
    ) throws {
        // Files, not pipes: a pipe that no one reads would stop the process.
        let name = UUID().uuidString
        output = folder.file("output-\(name)")
        errors = folder.file("errors-\(name)")
        for file in [output, errors] { try Data().write(to: file) }
        let command = launcher + [try Self.executable.path] + arguments
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.currentDirectoryURL = folder.url
        // The program takes flags from such variables.
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("LOCKSTEP_") }
            .merging(environment) { $1 }
        process.standardInput = try input.map { try FileHandle(forReadingFrom: folder.file($0)) } ?? .nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
    }

    deinit {
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
    }

    var id: Int32 { process.processIdentifier }

    func send(_ signal: Int32) { Glibc.kill(id, signal) }

    var isRunning: Bool { process.isRunning }

    /// Waits until its worker `name` has stopped, as a fault asked for.
    ///
    /// - Returns: the worker's process, to be sent SIGCONT.
    func stoppedWorker(_ name: String = "w1") async throws -> Int32 {
        var worker: Int32?
        try await Deadline.wait(for: "\(name) to stop") {
            worker = try ProcessTable.child(of: id, with: "--name=\(name)")
            return worker.map(ProcessTable.isStopped) ?? false
        }
        return worker!
    }

    /// What it has written to its standard error up to now.
    var errorsSoFar: String { get throws { String(decoding: try Data(contentsOf: errors), as: UTF8.self) } }

    /// Waits for the end of the process.
    ///
    /// - Throws: `Deadline` when it hangs; it is killed then.
    func result(seconds: Double = Deadline.seconds) async throws -> Result {
        do {
            let name = process.arguments!.joined(separator: " ")
            try await Deadline.wait(for: name, seconds: seconds) { !process.isRunning }
        } catch {
            send(SIGKILL)
            throw error
        }
        let code = process.terminationStatus
        return Result(
            code: process.terminationReason == .exit ? code : -code,
            output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
            errors: try errorsSoFar)
    }

    /// Waits for the end of each, which has to be a success.
    static func expectSuccess(of executions: [Execution], sourceLocation: SourceLocation = #_sourceLocation)
        async throws
    {
        for execution in executions {
            let result = try await execution.result()
            #expect(result.code == 0, "\(result.errors)", sourceLocation: sourceLocation)
        }
    }

    /// Runs `lockstep` with `arguments` to its end.
    static func run(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:],
        input: String? = nil, seconds: Double = Deadline.seconds
    ) async throws -> Result {
        try await Execution(arguments, in: folder, environment: environment, input: input).result(seconds: seconds)
    }

    /// The one that `LOCKSTEP_EXECUTABLE` names, or the one that was built with these tests.
    static var executable: URL {
        get throws {
            if let path = ProcessInfo.processInfo.environment["LOCKSTEP_EXECUTABLE"] {
                return URL(fileURLWithPath: path)
            }
            let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("lockstep")
        }
    }
}
