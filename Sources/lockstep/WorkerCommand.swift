import ArgumentParser
import Foundation
import Kernels
import Synchronization
import Training
import ZeroMQ

struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "One worker: computes for a coordinator until told to stop.",
        discussion: """
            It needs no text and no settings: the coordinator sends all. Every flag may come from the environment as \
            LOCKSTEP_<FLAG>, such as LOCKSTEP_CONNECT.
            """)

    @Option(help: "The coordinator: tcp://HOST:PORT or ipc://PATH.") var connect: String?
    @Option(help: "Read the coordinator's address from this file, once it is there, and again for each attempt.")
    var endpointFile: String?
    @Option(help: "The folder of this worker's keys, from lockstep keys.") var keys: String?
    @Option(help: "The file of the coordinator's public key. (default: server.public in --keys)") var serverKey: String?
    @Option(help: "Compute threads. (default: all cores)") var threads: Int?
    @Option(help: "What the coordinator calls this worker. (default: host and process)") var name: String?
    @Option(help: "How long to look for a coordinator, such as 60s or 10m.") var retryFor = Interval.seconds(60)
    @Flag(help: "Print nothing but errors.") var quiet = false
    @Option(
        help: """
            Faults to inject into this worker, for tests, such as kill@step=5,phase=backward. step=5 is the sixth: 5 are \
            committed. worker=1 strikes it only where the number at the end of its --name is 1.
            """)
    var inject: String?

    func validate() throws {
        guard (connect == nil) != (endpointFile == nil) else {
            throw ValidationError("give the coordinator's address with --connect, or a file with --endpoint-file")
        }
        guard keys != nil || serverKey == nil else {
            throw ValidationError("--server-key needs --keys: a worker with keys has one of its own")
        }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads must be from 1 to 1024")
        }
        guard case .seconds = retryFor else { throw ValidationError("--retry-for takes a duration, such as 60s") }
    }

    func run() throws {
        ParentWatch.start()
        _ = try InstructionSet.select()
        try raiseOpenFileLimit()
        let interrupted = InterruptFlag()
        let watcher = SignalWatcher { _, count in
            if count > 1 { _exit(1) }
            interrupted.set()
        }
        guard case .seconds(let timeLimit) = retryFor else { return }
        if let connect { try Endpoint.checkIsConnectable(connect, of: "--connect") }
        // Told to stop before there is a coordinator, it has done what it was asked for.
        guard let endpoint = try connect ?? waitForFile(timeLimit, interrupted) else { return }
        let access = try WorkerAccess(
            endpoint: endpoint, keys: keys.map { WorkerAccess.Keys(folder: KeyFolder($0), server: serverKey) })
        let host = ProcessInfo.processInfo.hostName
        let name = name ?? "\(host)-\(ProcessInfo.processInfo.processIdentifier)"
        let options = WorkerLoop.Options(
            access: access, newEndpoint: { [endpointFile] in endpointFile.flatMap(Self.endpoint) }, name: name,
            threads: threads ?? ProcessInfo.processInfo.activeProcessorCount, retryFor: timeLimit,
            faults: try FaultPlan(inject ?? "").concerning(name: name), software: Version.text)
        let isQuiet = quiet
        let loop = try WorkerLoop(
            options: options, context: Context(),
            say: { if !isQuiet { FileHandle.standardError.write(Data("\(name): \($0)\n".utf8)) } },
            isInterrupted: { interrupted.isSet })
        let ending = try loop.run()
        withExtendedLifetime(watcher) {}
        if !isQuiet, ending == .finished { FileHandle.standardError.write(Data("\(name): done\n".utf8)) }
    }

    /// The address in a coordinator's endpoint file; nil until it is there and whole.
    @Sendable private static func endpoint(inFile path: String) -> String? {
        guard let text = Endpoint.text(inFile: path), text.hasSuffix("\n") else { return nil }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// - Returns: nil when interrupted.
    private func waitForFile(_ timeLimit: Double, _ interrupted: InterruptFlag) throws -> String? {
        let started = ContinuousClock.now
        while !interrupted.isSet {
            if let endpoint = Self.endpoint(inFile: endpointFile!) { return endpoint }
            guard (ContinuousClock.now - started) / .seconds(1) < timeLimit else {
                throw ConfigurationError(
                    "no address came to stand in \(endpointFile!) within --retry-for \(retryFor): is the coordinator "
                        + "started with it?")
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
        return nil
    }
}

/// Set by a signal, read by a loop.
final class InterruptFlag: Sendable {
    private let value = Atomic<Bool>(false)
    func set() { value.store(true, ordering: .relaxed) }
    var isSet: Bool { value.load(ordering: .relaxed) }
}
