import Foundation
import Glibc
import Testing

@Suite("Coordinator and workers over TCP", .serialized)
struct NetworkTests {
    /// Arguments of a coordinator that writes its address to the file `endpoint`.
    private static func coordinator(_ extra: String...) -> [String] {
        ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint"]
            + TinyRun.flags + extra
    }

    static func endpoint(in folder: TemporaryFolder) async throws -> String {
        var text = ""
        try await Deadline.wait(for: "the endpoint file") {
            text = (try? String(contentsOf: folder.file("endpoint"), encoding: .utf8)) ?? ""
            return text.hasSuffix("\n")
        }
        return String(text.dropLast())
    }

    @Test("Workers that connect over TCP train to the same bits, and end with the run")
    func train() async throws {
        let folder = try TinyRun.folder()
        let arguments = ["worker", "--endpoint-file=endpoint", "--threads=1", "--quiet"]
        // One before the coordinator, one after it: the order does not matter.
        let first = try Execution(arguments + ["--name=first"], in: folder)
        let coordinator = try Execution(Self.coordinator("--minimum-workers=2"), in: folder)
        let address = try await Self.endpoint(in: folder)
        let second = try Execution(["worker", "--connect=\(address)", "--threads=1", "--quiet"], in: folder)
        for process in [coordinator, first, second] {
            let result = try await process.result()
            #expect(result.code == 0)
            #expect(result.errors.isEmpty, "\(result.errors)")
        }
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A second coordinator on a port says that the address is in use")
    func busyPort() async throws {
        let folder = try TinyRun.folder()
        let first = try Execution(Self.coordinator(), in: folder)
        let address = try await Self.endpoint(in: folder)
        let second = try await Execution.run(
            ["coordinator", "text.txt", "--run=other", "--listen=\(address)"] + TinyRun.flags, in: folder)
        #expect(second.code == 1)
        #expect(second.errorLines.count == 1)
        #expect(second.errors.contains(address) && second.errors.contains("in use"), "\(second.errors)")
        first.send(SIGINT)
        #expect(try await first.result().code == 2)
    }

    @Test("A second trainer on a run folder is refused")
    func lockedFolder() async throws {
        let folder = try TinyRun.folder()
        let first = try Execution(Self.coordinator(), in: folder)
        _ = try await Self.endpoint(in: folder)
        let second = try await Execution.run(["train", "--run=run", "--resume", "--quiet"], in: folder)
        #expect(second.code == 1)
        #expect(second.errorLines.count == 1, "\(second.errors)")
        first.send(SIGINT)
        _ = try await first.result()
    }

    @Test("A worker that finds no coordinator gives up with one line")
    func nobody() async throws {
        let folder = try TemporaryFolder()
        let result = try await Execution.run(
            ["worker", "--connect=ipc://\(folder.file("bus").path)", "--retry-for=1s", "--quiet"], in: folder)
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1, "\(result.errors)")
    }
}
