import Foundation
import Testing

@testable import Training

/// `Fixtures/tensorboard`: a file that TensorBoard 2.21 reads, and its records one by one.
private struct EventFixture: Decodable {
    struct Record: Decodable {
        var payloadHex: String
        var recordHex: String
        var wallTime: Double
        var step: UInt64
        var values: [String: Double]

        enum CodingKeys: String, CodingKey {
            case step, values
            case payloadHex = "payload_hex"
            case recordHex = "record_hex"
            case wallTime = "wall_time"
        }
    }
    var file: String
    var records: [Record]
    var crc32c: [String: String]
    var maskedCrc32c: [String: String]

    enum CodingKeys: String, CodingKey {
        case file, records, crc32c
        case maskedCrc32c = "masked_crc32c"
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/tensorboard")

    init() throws {
        let data = try Data(contentsOf: Self.folder.appendingPathComponent("index.json"))
        self = try JSONDecoder().decode(Self.self, from: data)
    }
}

@Suite("TensorBoard event files")
struct EventFileTests {
    private func hexadecimal(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

    private func folder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("events-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private func steps(_ folder: URL) throws -> [UInt64] {
        try EventFileWriter.files(in: folder).flatMap { file in
            let bytes = try Data(contentsOf: file)
            var steps: [UInt64] = []
            var position = 0
            while position < bytes.count {
                let frame = try #require(EventFrame(bytes, at: position))
                if let step = frame.step { steps.append(step) }
                position = frame.end
            }
            return steps
        }
    }

    @Test("Checksums are those of the reference")
    func checksums() throws {
        let fixture = try EventFixture()
        for (text, value) in fixture.crc32c {
            #expect(CRC32C.checksum(text.utf8) == UInt32(value, radix: 16), "\(text)")
        }
        for (text, value) in fixture.maskedCrc32c {
            #expect(CRC32C.masked(text.utf8) == UInt32(value, radix: 16), "\(text)")
        }
    }

    @Test("Records are byte for byte those of the reference's writer")
    func records() throws {
        let fixture = try EventFixture()
        var whole: [UInt8] = []
        for expected in fixture.records {
            // In the order in which the reference wrote them: JSON keeps none.
            let tags = ["loss/train", "val", "lr"].filter { expected.values[$0] != nil }
            #expect(tags.count == expected.values.count)
            let values = tags.map { (tag: $0, value: EventRecord.Value.scalar(Float(expected.values[$0]!))) }
            let record = EventRecord(
                time: expected.wallTime, step: expected.step,
                content: values.isEmpty ? .version : .summary(values))
            var payload = Protobuf()
            record.encode(into: &payload)
            #expect(hexadecimal(payload.bytes) == expected.payloadHex)
            #expect(hexadecimal(record.framed) == expected.recordHex)
            whole += record.framed
        }
        let file = try Data(contentsOf: EventFixture.folder.appendingPathComponent(fixture.file))
        #expect(Array(file) == whole)
    }

    @Test("A frame reads back with its step, and a damaged or torn one does not")
    func frames() {
        let bytes = Data(EventRecord(time: 1, step: 300, content: .summary([("a", .scalar(1))])).framed)
        #expect(EventFrame(bytes, at: 0)?.step == 300)
        #expect(EventFrame(bytes, at: 0)?.end == bytes.count)
        #expect(EventFrame(bytes.dropLast(), at: 0) == nil)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1
            #expect(EventFrame(damaged, at: 0) == nil, "byte \(index)")
        }
    }

    @Test("A resume goes on in a new file, each step once, whatever came after the checkpoint")
    func resume() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        do {
            var writer = try EventFileWriter(folder: folder, resumingAt: nil) { 1_700_000_000 }
            for step in 1...5 { writer.append(.example(UInt64(step)), validationLoss: step == 3 ? 1 : nil) }
            try writer.flush()
        }
        // Torn, as a crash leaves it.
        let file = try #require(EventFileWriter.files(in: folder).first)
        let handle = try FileHandle(forWritingTo: file)
        try handle.seekToEnd()
        try handle.write(contentsOf: Data([1, 2, 3]))
        try handle.close()
        do {
            var writer = try EventFileWriter(folder: folder, resumingAt: 3) { 1_700_000_100 }
            writer.append(sample: "a\n# b", step: 3)
            for step in 4...6 { writer.append(.example(UInt64(step))) }
            try writer.flush()
        }
        // The second 4 is the mark of the new session.
        #expect(try steps(folder) == [1, 2, 3, 4, 3, 4, 5, 6])
        #expect(EventFileWriter.files(in: folder).count == 2)
    }

    @Test("A file that cannot be made is called by its kind")
    func unwritable() {
        let folder = URL(fileURLWithPath: "/dev/null/run")
        let error = #expect(throws: RecordingError.self) { _ = try EventFileWriter(folder: folder, resumingAt: nil) }
        #expect(error?.kind == .events && error?.description.contains("cannot write the TensorBoard file: ") == true)
    }

    @Test("Two starts within a second get files of their own")
    func names() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        for _ in 0..<3 { _ = try EventFileWriter(folder: folder, resumingAt: nil) { 1_700_000_000 } }
        #expect(EventFileWriter.files(in: folder).count == 3)
    }
}
