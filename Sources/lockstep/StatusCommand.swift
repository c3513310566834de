import ArgumentParser
import Coordination
import Foundation
import Training
import ZeroMQ

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Members, leases, speeds and progress of a live run.",
        discussion: """
            Asks the coordinator itself, while it trains or waits for workers. Without RUN or an address: the newest \
            run in runs/.
            """)

    @Argument(help: ArgumentHelp("The folder of a run that is being trained on this machine.", valueName: "run"))
    var folder: String?
    @Option(help: "The coordinator: tcp://HOST:PORT or ipc://PATH.") var connect: String?
    @Option(help: "Read the coordinator's address from this file.") var endpointFile: String?
    @Option(help: "Keys for a coordinator that has them: the folder of a worker's, or the coordinator's own.")
    var keys: String?
    @Flag(help: "As JSON, one line an answer.") var json = false
    @Flag(help: "Ask again every second, until the run ends or Ctrl-C.") var watch = false

    func validate() throws {
        guard [folder, connect, endpointFile].compactMap({ $0 }).count <= 1 else {
            throw ValidationError("give one of RUN, --connect and --endpoint-file")
        }
    }

    func run() throws {
        let (endpoint, file) = try self.endpoint()
        let access = keys.map { WorkerAccess.Keys(folder: KeyFolder($0), server: nil) }
        let output = ProgressOutput.file(STDOUT_FILENO)
        let clears = watch && !json && output.isTerminal
        var hasAnswered = false
        var attempts = 0
        repeat {
            let snapshot: RunSnapshot
            do {
                snapshot = try StatusClient.snapshot(of: endpoint, keys: access, timeout: 3)
            } catch  where hasAnswered {
                // It may be busy. The file of its address goes with it.
                let isListed = file.map { FileManager.default.fileExists(atPath: $0) } ?? true
                attempts += 1
                if isListed, attempts < Self.attemptsToAsk { continue }
                output.write(
                    "the coordinator at \(endpoint) \(isListed ? "does not answer any more" : "has ended")\n")
                break
            }
            (hasAnswered, attempts) = (true, 0)
            if json {
                output.write(String(decoding: snapshot.encoded(), as: UTF8.self) + "\n")
            } else {
                let width = output.isTerminal ? output.columns() : 120
                let text = StatusReport(snapshot, width: width, usesColor: output.usesColor).text
                // Written over what was there, and what is left of that erased: an emptied screen would flicker.
                output.write(
                    clears ? "\u{1B}[H" + text.replacing("\n", with: "\u{1B}[K\n") + "\u{1B}[K\n\u{1B}[J" : text + "\n")
            }
            if watch { Thread.sleep(forTimeInterval: 1) }
        } while watch
        output.flush()
    }

    /// Of a coordinator that has answered before; each takes three seconds.
    private static let attemptsToAsk = 5

    /// - Returns: the address, and the file that is there as long as the coordinator is, where one is known.
    private func endpoint() throws -> (String, file: String?) {
        if let connect {
            try Endpoint.checkIsConnectable(connect, of: "--connect")
            return (connect, nil)
        }
        let file: String
        if let endpointFile {
            file = endpointFile
        } else {
            let folder = try self.folder.map { try RunFolder.open($0) } ?? RunFolder.newest()
            file = folder.endpoint.path
        }
        guard let text = Endpoint.text(inFile: file) else {
            if endpointFile == nil {
                let folder = (file as NSString).deletingLastPathComponent
                throw ConfigurationError(
                    "\(folder): nobody is training in it; lockstep inspect shows what it holds")
            }
            throw ConfigurationError("\(file): cannot be read; is the coordinator started with it?")
        }
        return (text.trimmingCharacters(in: .whitespacesAndNewlines), endpointFile == nil ? file : nil)
    }
}
