import Coordination
import Foundation
import Glibc
import Synchronization
import Testing

@testable import Training

@Suite("Run folders")
final class RunFolderTests {
    private let root = FileManager.default.temporaryDirectory.appendingPathComponent("runs-\(UUID().uuidString)").path

    deinit { try? FileManager.default.removeItem(atPath: root) }

    private func create(_ requested: String? = nil) throws -> RunFolder {
        try RunFolder.create(requested: requested, corpusName: "novel", parent: root)
    }

    @Test("Runs of one corpus are numbered")
    func numbered() throws {
        let names = try (0..<3).map { _ in try create().url.lastPathComponent }
        #expect(names == ["novel", "novel-2", "novel-3"])
    }

    @Test("A requested folder is made with those above it, and may be there already")
    func requested() throws {
        let folder = try create("\(root)/a/b")
        #expect(folder.url.path == "\(root)/a/b")
        #expect(try create("\(root)/a/b") == folder)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
    }

    @Test("The files of a run have their names")
    func names() throws {
        let folder = try create()
        let files = [folder.configuration, folder.vocabulary, folder.metrics, folder.log, folder.checkpoints]
        #expect(
            files.map(\.lastPathComponent) == [
                "run.json", "vocabulary.json", "metrics.jsonl", "log.txt", "checkpoints",
            ])
    }

    @Test("A folder that holds a run is not trained in again")
    func taken() throws {
        let folder = try create("\(root)/mine")
        try Data().write(to: folder.configuration)
        let error = #expect(throws: RunFolderError.self) { try self.create("\(self.root)/mine") }
        #expect(error == .alreadyHoldsRun(path: "\(root)/mine"))
        #expect(error?.description.contains("--resume") == true)
    }

    @Test("A file in the way of a folder is an error with the path and the reason")
    func fileInTheWay() throws {
        _ = try create()
        try Data().write(to: URL(fileURLWithPath: "\(root)/file"))
        for path in ["\(root)/file", "\(root)/file/run"] {
            let error = #expect(throws: RunFolderError.self) { try self.create(path) }
            #expect(error?.description.hasSuffix("cannot write the run folder: Not a directory") == true)
        }
    }

    @Test("A folder where no file can be made is an error", arguments: ["/proc/self/fd"])
    func notWritable(path: String) {
        let error = #expect(throws: RunFolderError.self) { try self.create(path) }
        guard case .notWritable(path, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("Only a folder with a run can be opened")
    func opening() throws {
        let folder = try create()
        #expect(throws: RunFolderError.holdsNoRun(path: folder.url.path)) { try RunFolder.open(folder.url.path) }
        try Data().write(to: folder.configuration)
        #expect(try RunFolder.open(folder.url.path) == folder)
    }

    @Test("A configuration of more than a mebibyte is refused")
    func longConfiguration() throws {
        let folder = try create()
        func error(bytes: Int) throws -> String? {
            try Data(repeating: UInt8(ascii: " "), count: bytes).write(to: folder.configuration)
            return #expect(throws: ConfigurationError.self) {
                try RunPreparation.configuration(at: folder.configuration)
            }?.description
        }
        #expect(try error(bytes: 1 << 20)?.contains("not a run.json of lockstep") == true)
        #expect(try error(bytes: 1 << 20 + 1)?.contains("1 MiB at most") == true)
    }

    @Test("A built-in text of a length that it cannot have is an error", arguments: [-1, 0, 1_000_000_001, Int.max])
    func builtInText(characters: Int) {
        let demo = RunConfiguration.Corpus(path: nil, name: "demo", sha256: "00", characters: characters)
        let error = #expect(throws: ConfigurationError.self) {
            _ = try RunPreparation.load(path: nil, vocabulary: nil, demo: demo)
        }
        #expect(error?.description.contains("not \(characters)") == true)
    }

    @Test("The newest run is the one whose configuration was written last")
    func newest() throws {
        #expect(throws: RunFolderError.noRunBelow(path: root)) { try RunFolder.newest(in: self.root) }
        let folders = try (0..<3).map { _ in try create() }
        #expect(throws: RunFolderError.noRunBelow(path: root)) { try RunFolder.newest(in: self.root) }
        for (index, time) in [(0, 200.0), (1, 300.0)] {
            let path = folders[index].configuration.path
            try Data().write(to: folders[index].configuration)
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: time)], ofItemAtPath: path)
        }
        #expect(try RunFolder.newest(in: root) == folders[1])
    }

    @Test("A folder is locked for as long as the lock lives")
    func locking() throws {
        let folder = try create()
        var lock: RunLock? = try folder.lock()
        #expect(throws: RunFolderError.locked(path: folder.url.path)) { try folder.lock() }
        withExtendedLifetime(lock) {}
        lock = nil
        _ = try folder.lock()
    }

    @Test(
        "Each start counts one up, and leaves no digit of what stood there",
        arguments: [
            ("", "1", 1), ("9", "10", 10), ("4294967295", "0000000000", 0), ("007", "008", 8), ("none", "0001", 1),
        ])
    func terms(before: String, after: String, term: UInt64) throws {
        let folder = try create()
        let file = folder.url.appendingPathComponent(".lock")
        try Data(before.utf8).write(to: file)
        #expect(try folder.lock().term >> 32 == term)
        #expect(try String(contentsOf: file, encoding: .utf8) == after)
        #expect(try folder.lock().term >> 32 == term + 1)
    }

    @Test("Where a file can be written is found out without a change to what is there")
    func outputFile() throws {
        let folder = try create().url
        let file = folder.appendingPathComponent("trace").path
        _ = try OutputFile.hold(file)
        #expect(!FileManager.default.fileExists(atPath: file))
        try Data("kept".utf8).write(to: URL(fileURLWithPath: file))
        _ = try OutputFile.hold(file)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "kept")
        _ = try OutputFile.hold("/dev/null")
        func reason(_ path: String) -> String? {
            #expect(throws: ConfigurationError.self) { _ = try OutputFile.hold(path) }?.description
        }
        #expect(reason(folder.path) == "Is a directory")
        #expect(reason(file + "/trace") == "Not a directory")
        #expect(reason(folder.path + "/none/trace") == "No such file or directory")
    }

    @Test("A named pipe that nobody reads is not waited for; one that is read is written to", .timeLimit(.minutes(1)))
    func pipe() throws {
        let path = try create().url.appendingPathComponent("pipe").path
        #expect(mkfifo(path, 0o600) == 0)
        let error = #expect(throws: ConfigurationError.self) { try TraceWriter(path: path) { _ in } }
        #expect("\(error!)" == "--trace \(path) cannot be written: it is a named pipe that no process reads")
        #expect(throws: ConfigurationError("it is a named pipe that no process reads")) {
            _ = try OutputFile.hold(path)
        }
        let reader = Glibc.open(path, O_RDONLY | O_NONBLOCK)
        // It sees no end before the file is opened and after it was found to be one that can be.
        let hold = try OutputFile.hold(path)
        var byte: UInt8 = 0
        #expect(read(reader, &byte, 1) == -1 && errno == EAGAIN)
        withExtendedLifetime(hold) {}
        let writer = OutputFile.open(path, O_TRUNC)
        #expect(writer >= 0 && fcntl(writer, F_GETFL) & O_NONBLOCK == 0)
        close(writer)
        close(reader)
    }

    @Test("The file of an address takes the place of a file, and of no device, pipe or folder")
    func endpointFile() throws {
        let folder = try create().url
        let path = folder.appendingPathComponent("endpoint").path
        try Listener.check(endpointFile: path)
        try Data("tcp://127.0.0.1:1\n".utf8).write(to: URL(fileURLWithPath: path))
        try Listener.check(endpointFile: path)
        let pipe = folder.appendingPathComponent("pipe").path
        try #require(mkfifo(pipe, 0o600) == 0)
        for other in [pipe, folder.path, "/dev/null"] {
            #expect(throws: ConfigurationError.self) { try Listener.check(endpointFile: other) }
        }
    }

    @Test("The log has a line with its time for each line of text, and goes on when opened again")
    func log() throws {
        let folder = try create()
        for (text, time) in [("started", 1_795_496_400), ("two\nlines", 86399)] {
            let log = RunLog(url: folder.log) { Issue.record("\($0)") }
            log.write(text, at: time)
            log.finish()
        }
        #expect(
            try String(contentsOf: folder.log, encoding: .utf8) == """
                2026-11-24T05:00:00Z started
                1970-01-01T23:59:59Z two
                1970-01-01T23:59:59Z\tlines

                """)
    }

    @Test("Control characters of a name or a sample cannot steer the terminal on which the log is read")
    func harmlessLog() throws {
        let folder = try create()
        let log = RunLog(url: folder.log) { Issue.record("\($0)") }
        log.write("lost a\u{1B}[2J\u{9B}b\tc\u{7}", at: 0)
        log.finish()
        let expected = "1970-01-01T00:00:00Z lost a\u{FFFD}[2J\u{FFFD}b\tc\u{FFFD}\n"
        #expect(try String(contentsOf: folder.log, encoding: .utf8) == expected)
    }

    @Test("What happened, and the last sample with its blank lines, are read back from a log")
    func readingTheLog() throws {
        let folder = try create()
        let log = RunLog(url: folder.log) { Issue.record("\($0)") }
        try Data("no line of ours\n".utf8).write(to: folder.log)
        let worker = Hello(run: 0, name: "w1", host: "vm", process: 1, threads: 1, software: "")
        let sample = RunSnapshot.Sample(step: 40, text: "\n one\n\nsample at step 50:\ntwo")
        let said: [LogEvent] = [
            .joined(worker, workers: 1), .sample(.init(step: 20, text: "old")), .lost("w1", reason: "left", left: 0),
            .sample(sample), .warning("the disk is full"), LogEvent(kind: .information, text: "done"),
        ]
        for event in said { log.write(event.text, at: 86399) }
        log.finish()
        let events = FinishedRun.events(folder.log)
        // Logs that were written before are to be understood too.
        #expect(
            events.map(\.text) == [
                "w1 joined from vm, 1 thread; 1 worker", "sample at step 20:\nold\n", "lost w1 (left); 0 left",
                "sample at step 40:\n\n one\n\nsample at step 50:\ntwo\n", "warning: the disk is full", "done",
            ])
        #expect(events.map(\.kind) == said.map(\.kind))
        #expect(events.map(\.number) == Array(1...6))
        #expect(events.allSatisfy { $0.time == 86399 })
        #expect(LogEvent(text: events[3].text).sample == sample)
    }

    @Test("What was said tells its kind, whatever the worker is called")
    func kinds() {
        let worker = Hello(run: 0, name: "lost x", host: "vm", process: 1, threads: 1, software: "")
        let said: [LogEvent] = [
            .joined(worker, workers: 1), .lost("lost x", reason: "left", left: 0), .warning("a joined from b"),
        ]
        for event in said { #expect(LogEvent(text: event.text).kind == event.kind, "\(event.text)") }
    }

    @Test("Lines of several threads stay whole")
    func concurrentLog() throws {
        let folder = try create()
        let log = RunLog(url: folder.log) { Issue.record("\($0)") }
        let text = String(repeating: "x", count: 200)
        DispatchQueue.concurrentPerform(iterations: 200) { _ in log.write(text, at: 0) }
        log.finish()
        let lines = try String(contentsOf: folder.log, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 200)
        #expect(lines.allSatisfy { $0 == "1970-01-01T00:00:00Z \(text)" })
    }

    @Test("A log that cannot be written is told once", arguments: ["/dev/full", "/dev/null/log.txt"])
    func failingLog(path: String) {
        let failures = Failures()
        let log = RunLog(url: URL(fileURLWithPath: path)) { failures.append($0) }
        log.write("one")
        log.write("two")
        log.finish()
        #expect(failures.all.count == 1)
        #expect(failures.all.first?.hasPrefix("\(path): cannot write the log: ") == true)
    }

    @Test(
        "A log whose disk stands still is waited for by nobody, and keeps the order of what it takes",
        .timeLimit(.minutes(1)))
    func stalledLog() throws {
        let url = try create().url.appendingPathComponent("stalled")
        try #require(mkfifo(url.path, 0o600) == 0)
        let pipe = open(url.path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        defer { close(pipe) }
        for size in [4096, 1] { while write(pipe, [UInt8](repeating: 0, count: size), size) > 0 {} }
        let failures = Failures()
        let log = RunLog(url: url) { failures.append($0) }
        let count = RunLog.maximumWaiting
        for number in 0..<count + 5 { log.write("\(number)", at: 0) }
        #expect(failures.all.isEmpty)
        log.finish(seconds: 0.01)
        #expect(failures.all.map { $0.contains("has not taken the last lines of the log in 0.01 s") } == [true])
        var text: [UInt8] = []
        func take(until isEnough: () -> Bool) {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while !isEnough() {
                let got = read(pipe, &buffer, buffer.count)
                if got > 0 { text += buffer[..<got].filter { $0 != 0 } } else { usleep(1000) }
            }
        }
        take { text.count { $0 == UInt8(ascii: "\n") } == count }
        log.write("last", at: 0)
        log.finish()
        take { text.suffix(5) == Array("last\n".utf8) }
        let start = "1970-01-01T00:00:00Z "
        let expected =
            (0..<count).map { "\($0)" } + ["the disk stood still: 5 texts are left out here", "last"]
        #expect(String(decoding: text, as: UTF8.self) == expected.map { "\(start)\($0)\n" }.joined())
        #expect(failures.all.count == 1)
    }

    private final class Failures: Sendable {
        private let list = Mutex<[String]>([])
        var all: [String] { list.withLock { $0 } }
        func append(_ text: String) { list.withLock { $0.append(text) } }
    }
}
