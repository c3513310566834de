import Corpus
import Kernels
import LanguageModel
import Testing

@testable import Training

@Suite("The loss on held-out text")
struct EvaluationTests {
    private static func losses(_ batches: BatchedCorpus, rows: Range<Int>, isStateless: Bool = false, threads: Int = 1)
        throws -> [Double]
    {
        try #require(
            Evaluation.losses(
                parameters: LetterModel.parameters, shape: LetterModel.shape, tokens: rows.map { batches.run(row: $0) },
                window: batches.window, isStateless: isStateless, threads: threads, isAbandoned: { false }))
    }

    @Test(
        "A row's loss is that of its own windows alone, whatever rows and threads are beside it",
        arguments: [false, true])
    func rows(isStateless: Bool) throws {
        let batches = try BatchedCorpus(corpus: LetterModel.text(700), range: 100..<700, batch: 7, window: 12)
        let together = try Self.losses(batches, rows: 0..<7, isStateless: isStateless)
        #expect(try Self.losses(batches, rows: 0..<7, isStateless: isStateless, threads: 3) == together)
        #expect(
            try (0..<7).flatMap { try Self.losses(batches, rows: $0..<$0 + 1, isStateless: isStateless) } == together)
        // Window by window, as training reads them.
        let engine = ForwardEngine(shape: LetterModel.shape, parameters: LetterModel.parameters, threads: 1)
        var state = ForwardState(shape: LetterModel.shape, rows: 7)
        var sum = 0.0
        for window in 0..<batches.windows {
            let (inputs, targets) = batches.batch(rows: 0..<7, window: window)
            if isStateless { state = ForwardState(shape: LetterModel.shape, rows: 7) }
            sum += engine.loss(inputs: inputs, targets: targets, window: 12, state)
        }
        let loss = Evaluation.loss(rowLosses: together, batches: batches)
        #expect(abs(loss - sum / Double(batches.usedCharacters)) < 1e-12)
    }

    @Test("Rows are as many as the batch has, fewer where the text is short, and more where they would be too long")
    func cut() throws {
        let corpus = try LetterModel.text(2000)
        func rows(_ count: Int, batch: Int, window: Int) -> Int? {
            Evaluation.batches(corpus, range: 0..<count, batch: batch, window: window)?.batch
        }
        #expect(rows(2000, batch: 4, window: 10) == 4)
        #expect(rows(2000, batch: 64, window: 10) == 20)
        #expect(rows(15, batch: 64, window: 10) == 1)
        #expect(rows(9, batch: 64, window: 10) == nil)
    }

    @Test("Segments travel as whole windows and one token more; anything else is refused")
    func payload() throws {
        let bytes: (Int, UInt8) -> [UInt8] = { count, token in
            Array(repeating: [token, 0, 0, 0], count: count).flatMap(\.self)
        }
        // Its vocabulary has two characters.
        var configuration = RunSettings.defaults(
            software: "test", run: "run", corpus: .init(path: nil, name: "text", sha256: "", characters: 0))
        configuration.window = 4
        func decoded(_ bytes: [UInt8], _ segments: Int) throws -> [[UInt32]] {
            try bytes.withUnsafeBytes {
                try SegmentPayload.decode($0, segments: segments, configuration: configuration)
            }
        }
        #expect(try decoded(bytes(18, 1), 2) == Array(repeating: Array(repeating: 1, count: 9), count: 2))
        for (count, segments) in [(17, 2), (16, 2), (8, 1), (2, 2), (1, 1), (0, 1)] {
            #expect(throws: LeasePayload.Malformed.self) { try decoded(bytes(count, 1), segments) }
        }
        #expect(throws: LeasePayload.Malformed.self) { try decoded(bytes(9, 200), 1) }
    }
}
