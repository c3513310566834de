import Corpus
import Kernels
import LanguageModel
import Testing

@testable import Training

@Suite("Scores of texts")
struct TextScorerTests {
    private static func scores(_ corpus: EncodedCorpus, _ plan: ScoringPlan, threads: Int = 1) throws -> [Double] {
        let scorer = TextScorer(
            shape: LetterModel.shape, parameters: LetterModel.parameters, corpus: corpus, plan: plan, threads: threads)
        var found: [Double] = []
        try scorer.score(segments: 0..<plan.segments) { segment, losses in
            #expect(losses.count == plan.targets(segment).count)
            found += losses
        }
        return found
    }

    /// One pass from the first character to the last.
    private static func onePass(_ corpus: EncodedCorpus) -> [Double] {
        let engine = ForwardEngine(shape: LetterModel.shape, parameters: LetterModel.parameters, threads: 1)
        let tokens = corpus.tokens(0..<corpus.count)
        return engine.losses(
            inputs: Array(tokens.dropLast()), targets: Array(tokens.dropFirst()), window: tokens.count - 1,
            ForwardState(shape: LetterModel.shape, rows: 1))
    }

    @Test("A text of one segment is scored in one pass", arguments: [2, 5, 129, 4097])
    func short(count: Int) throws {
        let corpus = try LetterModel.text(max(count, 5))
        let plan = ScoringPlan.stateful(characters: corpus.count)
        #expect(plan.segments == 1)
        #expect(try Self.scores(corpus, plan) == Self.onePass(corpus))
    }

    @Test("The segments score every character but the first once, and as one pass would")
    func long() throws {
        let corpus = try LetterModel.text(10_000)
        let plan = ScoringPlan.stateful(characters: corpus.count)
        #expect(plan.segments == 3)
        #expect((0..<3).flatMap { plan.targets($0) } == Array(1..<10_000))
        let scores = try Self.scores(corpus, plan)
        #expect(scores[..<4096] == Self.onePass(corpus)[..<4096])
        for (left, right) in zip(scores, Self.onePass(corpus)) { #expect(abs(left - right) < 1e-5) }
        #expect(try Self.scores(corpus, plan, threads: 3) == scores)
    }

    @Test("Without a carried state every window starts anew")
    func stateless() throws {
        let corpus = try LetterModel.text(1000)
        let plan = ScoringPlan.stateless(characters: 1000, window: 7)
        let scores = try Self.scores(corpus, plan)
        #expect(scores.count == 999)
        let engine = ForwardEngine(shape: LetterModel.shape, parameters: LetterModel.parameters, threads: 1)
        for start in [0, 7, 700, 994] {
            let tokens = corpus.tokens(start..<min(start + 8, 1000))
            let wanted = engine.losses(
                inputs: Array(tokens.dropLast()), targets: Array(tokens.dropFirst()), window: tokens.count - 1,
                ForwardState(shape: LetterModel.shape, rows: 1))
            #expect(Array(scores[start..<start + wanted.count]) == wanted)
        }
    }

    @Test("Shares cover the segments in order, whatever their number", arguments: [1, 2, 3, 7, 40])
    func shares(count: Int) {
        let plan = ScoringPlan.stateful(characters: 50_000)
        #expect((0..<count).flatMap { ScoreShare(index: $0, count: count).segments(of: plan) } == Array(0..<13))
    }

    @Test("A diverged model is an error, not a number")
    func diverged() throws {
        let corpus = try LetterModel.text(10)
        let plan = ScoringPlan.stateful(characters: 10)
        let broken = FloatBuffer(LetterModel.parameters.array.map { _ in Float.nan })
        let scorer = TextScorer(shape: LetterModel.shape, parameters: broken, corpus: corpus, plan: plan, threads: 1)
        #expect(throws: ConfigurationError.self) { try scorer.score(segments: 0..<1) { _, _ in } }
    }
}
