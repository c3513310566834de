import Foundation
import Glibc
import Testing

@testable import Training

@Suite("Metrics")
struct MetricsWriterTests {
    private let url: URL

    init() {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("metrics-\(UUID().uuidString).jsonl")
    }

    private struct Line: Decodable, Equatable {
        var step: UInt64
        var epoch: UInt64
        var loss: Double
        var gradientNorm: Double
        var learningRate: Double
        var charactersPerSecond: Double
        var stepSeconds: Double
        var workers: Int
        var digest: String
        var validationLoss: Double?
        var validationBitsPerCharacter: Double?
    }

    private func record(_ step: UInt64) -> StepRecord {
        StepRecord(
            step: step, epoch: 1, loss: 0.1 + 0.2, gradientNorm: 1e-300, learningRate: 0.001,
            charactersPerSecond: 123456.789, stepSeconds: 5e20, workers: 3, digest: 0xAB)
    }

    private func write(_ steps: ClosedRange<UInt64>, resumingAt step: UInt64? = nil) throws {
        let writer = try MetricsWriter(url: url, resumingAt: step)
        for step in steps { try writer.append(record(step), validationLoss: nil) }
    }

    private func steps() throws -> [Int] {
        try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return try #require(object?["step"] as? Int)
        }
    }

    @Test("A line is a JSON object whose numbers read back to the same bits")
    func roundTrip() throws {
        defer { unlink(url.path) }
        let writer = try MetricsWriter(url: url, resumingAt: nil)
        try writer.append(record(7), validationLoss: 0.6931471805599453 * 2)
        try writer.append(record(8), validationLoss: nil)
        let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let first = try decoder.decode(Line.self, from: Data(lines[0].utf8))
        #expect(
            first
                == Line(
                    step: 7, epoch: 1, loss: 0.1 + 0.2, gradientNorm: 1e-300, learningRate: 0.001,
                    charactersPerSecond: 123456.789, stepSeconds: 5e20, workers: 3, digest: "00000000000000ab",
                    validationLoss: 0.6931471805599453 * 2, validationBitsPerCharacter: 2))
        #expect(
            lines[1] == """
                {"step":8,"epoch":1,"loss":0.30000000000000004,"gradient_norm":1e-300,"learning_rate":0.001,\
                "characters_per_second":123456.789,"step_seconds":5e+20,"workers":3,"digest":"00000000000000ab"}
                """)
        #expect(lines[0].contains(#","validation_loss":1.3862943611198906,"validation_bits_per_character":2.0}"#))
    }

    @Test("A resume goes on after the resumed step, without repeats")
    func resume() throws {
        defer { unlink(url.path) }
        try write(1...6)
        try write(5...7, resumingAt: 4)
        #expect(try steps() == [1, 2, 3, 4, 5, 6, 7])
        #expect(!FileManager.default.fileExists(atPath: url.path + ".temporary"))
    }

    @Test("A resume drops a torn last line, and lines that are none")
    func torn() throws {
        defer { unlink(url.path) }
        try write(1...3)
        let whole = try String(contentsOf: url, encoding: .utf8)
        let torn = whole + "\0\0\0\n" + "{\"step\":4,\"epo\n" + "{\"step\":5,\"epoch\":1,\"loss\":1.2}"
        try Data(torn.utf8).write(to: url)
        let writer = try MetricsWriter(url: url, resumingAt: 9)
        defer { unlink(writer.old.path) }
        try writer.append(record(4))
        #expect(try steps() == [1, 2, 3, 4])
        // The zeros and the line that is cut short; the end of the file is what a crash leaves.
        #expect(writer.strangers == 2)
        #expect(try Data(contentsOf: writer.old) == Data(torn.utf8))
    }

    @Test("A resume keeps what it cannot place, and counts no step twice")
    func strangers() throws {
        defer { unlink(url.path) }
        let loss = 0.5
        for step in UInt64(1)...4 {
            let writer = try MetricsWriter(url: url, resumingAt: step - 1)
            try writer.append(record(step), validationLoss: loss)
        }
        let whole = try String(contentsOf: url, encoding: .utf8)
        let lines = whole.split(separator: "\n")
        let doubled = lines.flatMap { [$0, $0] }.joined(separator: "\n") + "\n"
        try Data(doubled.utf8).write(to: url)
        #expect(MetricsReader.history(in: url, upTo: 4).validations.count == 4)
        let once = try MetricsWriter(url: url, resumingAt: 4)
        #expect(once.strangers == 4)
        #expect(try String(contentsOf: url, encoding: .utf8) == whole)
        #expect(try String(contentsOf: once.old, encoding: .utf8) == doubled)
        // Line ends of another system: none of these lines is this run's.
        let foreign = whole.replacing("\n", with: "\r\n")
        try Data(foreign.utf8).write(to: url)
        let anew = try MetricsWriter(url: url, resumingAt: 4)
        defer { unlink(anew.old.path) }
        #expect(anew.strangers == 4)
        #expect(try Data(contentsOf: anew.old) == Data(foreign.utf8))
        // Later steps are done again: they are no strangers.
        try Data(whole.utf8).write(to: url)
        #expect(try MetricsWriter(url: url, resumingAt: 2).strangers == 0)
        #expect(try steps() == [1, 2])
    }

    @Test("The last line gets the loss of an evaluation that came late, and lines follow it")
    func late() throws {
        defer { unlink(url.path) }
        try write(1...3)
        var writer = try MetricsWriter(url: url, resumingAt: 3)
        try writer.replaceLast(with: record(3), validationLoss: 0.25)
        try writer.append(record(4))
        var losses: [Double?] = []
        MetricsReader.read(url) { _, loss in losses.append(loss) }
        #expect(losses == [nil, nil, 0.25, nil])
        #expect(try steps() == [1, 2, 3, 4])
    }

    @Test("A pipe that nobody reads is an error of the resume, and no wait")
    func pipe() throws {
        try #require(mkfifo(url.path, 0o600) == 0)
        defer { unlink(url.path) }
        #expect(throws: RecordingError.self) { _ = try MetricsWriter(url: url, resumingAt: 3) }
    }

    @Test("A line of a step beyond all bounds is no record of the run")
    func absurdStep() throws {
        defer { unlink(url.path) }
        try write(1...3)
        let whole = try String(contentsOf: url, encoding: .utf8)
        let last = try #require(whole.split(separator: "\n").last)
        let absurd = ["18446744073709551615", "41"].map { last.replacing("\"step\":3", with: "\"step\":\($0)") + "\n" }
        try Data((whole + absurd.joined()).utf8).write(to: url)
        #expect(MetricsReader.digests(in: url, after: 1, upTo: 40) == [2: 0xAB, 3: 0xAB])
        #expect(MetricsReader.digests(in: url, after: 1, upTo: 41) == [2: 0xAB, 3: 0xAB, 41: 0xAB])
    }

    @Test("A line with a number that is none, or that stands twice, is no record of the run")
    func oddNumbers() throws {
        defer { unlink(url.path) }
        try write(1...2)
        let whole = try String(contentsOf: url, encoding: .utf8)
        let last = try #require(whole.split(separator: "\n").last)
        let loss = "\"loss\":0.30000000000000004"
        try #require(last.contains(loss))
        let odd = ["\"loss\":1e999", "\"loss\":nan", "\(loss),\(loss)", "\"loss\":0.3x", "\"loss\":"].map {
            last.replacing(loss, with: $0).replacing("\"step\":2", with: "\"step\":3") + "\n"
        }
        try Data((whole + odd.joined()).utf8).write(to: url)
        var found: [UInt64] = []
        MetricsReader.read(url) { record, _ in found.append(record.step) }
        #expect(found == [1, 2])
    }

    @Test("A resume at a file that needs no change leaves its bytes alone")
    func unchanged() throws {
        defer { unlink(url.path) }
        try write(1...3)
        func inode() throws -> UInt64? {
            try FileManager.default.attributesOfItem(atPath: url.path)[.systemFileNumber] as? UInt64
        }
        let (before, file) = (try Data(contentsOf: url), try inode())
        _ = try MetricsWriter(url: url, resumingAt: 3)
        #expect(try Data(contentsOf: url) == before)
        #expect(try inode() == file && file != nil)
    }

    @Test("A resume without a file starts one")
    func missing() throws {
        defer { unlink(url.path) }
        try write(3...4, resumingAt: 2)
        #expect(try steps() == [3, 4])
    }

    @Test("A new run starts an empty file")
    func fresh() throws {
        defer { unlink(url.path) }
        try write(1...3)
        try write(1...1)
        #expect(try steps() == [1])
    }

    @Test("A file that cannot be made is an error with its path")
    func unwritable() {
        let missing = url.appendingPathComponent("metrics.jsonl")
        let error = #expect(throws: RecordingError.self) { _ = try MetricsWriter(url: missing, resumingAt: nil) }
        #expect(error?.description == "\(missing.path): cannot write the metrics: No such file or directory")
    }

    @Test("A full disk is an error of the append")
    func fullDisk() throws {
        let writer = try MetricsWriter(url: URL(fileURLWithPath: "/dev/full"), resumingAt: nil)
        do {
            try writer.append(record(1), validationLoss: nil)
            Issue.record("the append succeeded")
        } catch {
            #expect(error.description == "/dev/full: cannot write the metrics: No space left on device")
        }
    }
}
