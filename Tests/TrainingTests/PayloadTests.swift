import LanguageModel
import Testing

@testable import Training

@Suite("The bulk of leases")
struct PayloadTests {
    private let configuration: RunConfiguration = {
        var configuration = RunSettings.defaults(
            software: "", run: "", corpus: .init(path: nil, name: "", sha256: "", characters: 0))
        configuration.model = ModelShape(vocabulary: 5, hidden: 2, layers: 1)
        (configuration.batch, configuration.window, configuration.shards) = (4, 3, 2)
        return configuration
    }()
    private let tokens: [[UInt32]] = [[0, 1, 2, 3, 4, 3, 2, 1], [4, 4, 0, 0, 1, 1, 2, 2]]
    private let carry: [Float] = [1, 2, 3, 4, 5, 6, 7, 8]

    @Test("A lease reads back, with its targets shifted by one; another size or token is refused")
    func leases() throws {
        func decode(_ bytes: [UInt8], carried: Int = 1) throws -> LeasePayload.Contents {
            try bytes.withUnsafeBytes {
                try LeasePayload.decode($0, shards: 2, carried: carried, configuration: configuration)
            }
        }
        let bytes = LeasePayload.encode(tokens: tokens, carries: [carry[...]])
        let contents = try decode(bytes)
        #expect(contents.inputs == [[0, 1, 2, 4, 3, 2], [4, 4, 0, 1, 1, 2]])
        #expect(contents.targets == [[1, 2, 3, 3, 2, 1], [4, 0, 0, 1, 2, 2]])
        #expect(contents.carries == [carry])
        for wrong in [Array(bytes.dropLast()), bytes + [0], Array(bytes.dropLast(4)), bytes + [0, 0, 0, 0]] {
            #expect(throws: LeasePayload.Malformed.self) { try decode(wrong) }
        }
        #expect(throws: LeasePayload.Malformed.self) { try decode(bytes, carried: 0) }
        for place in [0, 3, 15] {
            var foreign = bytes
            foreign[place * 4] = 5
            #expect(throws: LeasePayload.Malformed.self) { try decode(foreign) }
        }
    }

    @Test("An evaluation's segments are whole windows and one token more; any other size or token is refused")
    func segments() throws {
        func decode(_ runs: [[UInt32]], segments: Int) throws -> [[UInt32]] {
            try LeasePayload.encode(tokens: runs, carries: []).withUnsafeBytes {
                try SegmentPayload.decode($0, segments: segments, configuration: configuration)
            }
        }
        let runs: [[UInt32]] = [[0, 1, 2, 3, 4, 0, 1], [1, 1, 1, 1, 1, 1, 4]]
        #expect(try decode(runs, segments: 2) == runs)
        for (wrong, count) in [([[0, 1, 2, 3, 4]], 1), ([[0, 1, 2]], 1), ([[0]], 1), (runs, 3)] as [([[UInt32]], Int)] {
            #expect(throws: LeasePayload.Malformed.self) { try decode(wrong, segments: count) }
        }
        #expect(throws: LeasePayload.Malformed.self) { try decode([[0, 1, 2, 5]], segments: 1) }
    }
}
