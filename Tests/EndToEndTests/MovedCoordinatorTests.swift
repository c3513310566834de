import Foundation
import Glibc
import Testing

@Suite("A coordinator that moves") struct MovedCoordinatorTests {
    /// Makes a namespace in which the file `hosts` stands for /etc/hosts, and goes over into the program there.
    private static let launcher = [
        "/usr/bin/env", "unshare", "--map-root-user", "--mount", "sh", "-c",
        "mount --bind hosts /etc/hosts && exec \"$@\"", "sh",
    ]

    private static let mayHaveItsOwnHosts: Bool = {
        guard let folder = try? TemporaryFolder(), (try? folder.write([], to: "hosts")) != nil else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: launcher[0])
        process.arguments = launcher.dropFirst() + ["true"]
        process.currentDirectoryURL = folder.url
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    /// Writes into the file itself: a new one in its place would not be the one that is mounted.
    private static func point(_ name: String, to address: String, in folder: TemporaryFolder) throws {
        let file = try FileHandle(forWritingTo: folder.file("hosts"))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: Data("\(address) \(name)\n".utf8))
        try file.close()
    }

    @Test(
        "A worker finds its coordinator again where the name leads now, and the bits are the same",
        .enabled(if: mayHaveItsOwnHosts, "needs unshare, and leave to mount a file over /etc/hosts"))
    func move() async throws {
        let folder = try TinyRun.folder()
        let name = "coordinator.lockstep.test"
        try folder.write([], to: "hosts")
        try Self.point(name, to: "127.0.0.1", in: folder)
        let first = try Execution(
            [
                "coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint",
                "--inject=stop@step=5",
            ] + TinyRun.flags, in: folder)
        let port = try await NetworkTests.endpoint(in: folder).split(separator: ":").last!
        let worker = try Execution(
            ["worker", "--connect=tcp://\(name):\(port)", "--threads=1"], in: folder, launcher: Self.launcher)
        // The worker stands still then, so that the run cannot end.
        try await Deadline.wait(for: "five steps") { try Trace.steps(run: "run", in: folder).count == 5 }
        first.send(SIGTERM)
        #expect(try await first.result().code == 2)
        worker.send(SIGCONT)

        let second = try Execution(
            ["coordinator", "--run=run", "--resume", "--listen=tcp://127.0.0.2:\(port)", "--quiet"], in: folder)
        try await Deadline.wait(for: "a worker that looks in the old place") {
            try worker.errorsSoFar.contains("tcp://127.0.0.1:\(port) refuses connections")
        }
        try Self.point(name, to: "127.0.0.2", in: folder)
        try await Execution.expectSuccess(of: [second, worker])
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test(
        "A worker whose name server keeps silent says so, and ends when it is told to",
        .enabled(if: mayHaveItsOwnHosts, "needs unshare, and leave to mount a file over /etc/hosts"))
    func silence() async throws {
        let folder = try TemporaryFolder()
        // A pipe that nobody writes to: whoever looks a name up waits for ever.
        try #require(mkfifo(folder.file("hosts").path, 0o600) == 0)
        let worker = try Execution(
            ["worker", "--connect=tcp://coordinator.lockstep.test:5757", "--retry-for=10m"], in: folder,
            launcher: Self.launcher)
        try await Deadline.wait(for: "a worker that says what it waits for") {
            try worker.errorsSoFar.contains("nobody has said yet where the host coordinator.lockstep.test is")
        }
        #expect(worker.isRunning)
        worker.send(SIGTERM)
        let result = try await worker.result()
        #expect(result.code == 0 && result.errorLines.count == 1, "\(result.code) \(result.errors)")
    }
}
