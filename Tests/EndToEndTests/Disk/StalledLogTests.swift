import Foundation
import Glibc
import Testing

@Suite("A log whose disk stands still", .serialized)
struct StalledLogTests {
    /// `log.txt` of the run that is to come: a pipe that takes nothing more until it is read.
    private final class StalledLog {
        private let descriptor: Int32

        init(in folder: TemporaryFolder) throws {
            try FileManager.default.createDirectory(at: folder.file("run"), withIntermediateDirectories: true)
            let path = folder.file("run/log.txt").path
            try #require(mkfifo(path, 0o600) == 0)
            // A reader and a writer, so that neither end waits for another to open it.
            descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
            try #require(descriptor >= 0)
            for size in [4096, 1] { while write(descriptor, [UInt8](repeating: 0, count: size), size) > 0 {} }
        }

        deinit { close(descriptor) }

        /// What there is to read.
        func read() -> String {
            var text: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = Glibc.read(descriptor, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
            return String(decoding: text.filter { $0 != 0 }, as: UTF8.self)
        }
    }

    @Test(
        "Steps go on, no worker is lost, and once the disk takes them all lines are there up to the last",
        arguments: [0, 2])
    func steps(code: Int32) async throws {
        let folder = try TinyRun.folder()
        let log = try StalledLog(in: folder)
        let training = try Execution(
            TinyRun.train(
                "--workers=1", "--threads=1", "--worker-timeout=60", "--evaluate-every=1", "--inject=stop@step=30"),
            in: folder)
        let worker = try await training.stoppedWorker()
        try await Deadline.wait(for: "the steps") { try Trace.steps(run: "run", in: folder).count >= 30 }
        // Only now, and all at once, so that there is room in the pipe for what is still to come.
        var text = log.read()
        if code == 0 { kill(worker, SIGCONT) } else { training.send(SIGINT) }
        try await Deadline.wait(for: "the end") {
            text += log.read()
            return !training.isRunning
        }
        let result = try await training.result()
        #expect(result.code == code && result.errors.isEmpty, "\(result.errors)")
        text += log.read()
        #expect(text.contains("w1 joined from") && text.contains("validation at step 29:"), "\(text)")
        let last = text.split(separator: "\n").last ?? ""
        #expect(last.contains(code == 0 ? "Z train it further: " : "Z resume with: "), "\(text)")
        if code == 0 {
            #expect(!text.contains("lost w"), "\(text)")
            #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        }
    }

    @Test("Why a run failed is the last line of its log")
    func failure() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(
            TinyRun.train("--workers=1", "--threads=1", "--batch=2", "--window=4", "--epsilon=0"), in: folder)
        #expect(result.code == 1)
        let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
        let reason = try #require(result.errorLines.last).drop { $0 != " " }
        let last = try #require(log.split(separator: "\n").last)
        #expect(last.contains("Z failed: ") && last.hasSuffix(reason), "\(last), \(result.errors)")
    }

    @Test("A run whose log stands still at its end says so, and ends")
    func never() async throws {
        let folder = try TinyRun.folder()
        let log = try StalledLog(in: folder)
        let result = try await Execution.run(TinyRun.train("--workers=1", "--threads=1"), in: folder)
        #expect(result.code == 0)
        #expect(result.errorLines.count == 1)
        #expect(
            result.errors.contains("run/log.txt: the disk has not taken the last lines of the log"), "\(result.errors)")
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
        withExtendedLifetime(log) {}
    }
}
