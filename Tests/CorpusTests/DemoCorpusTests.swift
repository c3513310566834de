import Corpus
import Foundation
import Testing

@Suite("Demo corpus")
struct DemoCorpusTests {
    @Test("A fair coin's entropy rate is ln 2 over the characters of a toss")
    func coin() {
        let grammar = DemoGrammar(start: "toss", [("toss", [(1, "heads "), (1, "tails ")])])
        let means = grammar.sentenceMeans
        #expect(abs(means.entropy - log(2)) < 1e-15)
        #expect(means.characters == 6)
    }

    @Test("A geometric run's entropy and length are those of the closed form")
    func recursion() {
        let grammar = DemoGrammar(start: "run", [("run", [(3, "a{run}"), (1, "b")])])
        let means = grammar.sentenceMeans
        let choice = -(0.75 * log(0.75) + 0.25 * log(0.25))
        #expect(abs(means.characters - 4) < 1e-12)
        #expect(abs(means.entropy - 4 * choice) < 1e-12)
    }

    @Test("The parser sees an ambiguous grammar, whose characters carry less than its choices")
    func ambiguity() {
        let grammar = DemoGrammar(
            start: "word", [("word", [(1, "ab"), (1, "a{tail}"), (2, "c")]), ("tail", [(1, "b")])])
        var parser = PrefixParser(grammar)
        let allowed = "abcx".utf8.map { parser.read($0) }
        #expect(allowed == [true, true, true, false])
        #expect(parser.sentences == 2)
        #expect(parser.ambiguousSentences == 1)
        #expect(abs(parser.surprise - 2 * log(2)) < 1e-12)
    }

    @Test("Each sentence has one derivation, and an ideal predictor's loss is the computed entropy")
    func entropy() {
        let text = DemoCorpus(characters: 120_000, seed: 11).text
        var parser = PrefixParser(DemoCorpus.grammar)
        var characters = 0
        var previous = 0.0
        var squares = 0.0
        let entropy = DemoCorpus.entropyPerCharacter
        var open = 0
        for byte in text {
            let sentences = parser.sentences
            guard parser.read(byte) else {
                Issue.record("the grammar does not allow its own text")
                return
            }
            open += 1
            if parser.sentences > sentences {
                // Of a sentence: its surprise above what the entropy rate expects of so many characters.
                let excess = parser.surprise - previous - entropy * Double(open)
                squares += excess * excess
                previous = parser.surprise
                characters += open
                open = 0
            }
        }
        #expect(parser.sentences > 2000)
        #expect(parser.ambiguousSentences == 0)
        // The excesses are independent with mean 0, so their sum stays within a few standard deviations.
        let excess = previous - entropy * Double(characters)
        #expect(abs(excess) < 4 * squares.squareRoot())
        #expect(abs(previous / Double(characters) - entropy) < 0.01 * entropy)
    }

    @Test("The entropy leaves much to learn and something to be unsure of")
    func range() {
        #expect(DemoCorpus.entropyPerCharacter > 0.5)
        #expect(DemoCorpus.entropyPerCharacter < 1)
    }

    @Test("The text is a function of size and seed alone")
    func deterministic() {
        let text = DemoCorpus(characters: 5000, seed: 7).text
        #expect(text.count == 5000)
        #expect(text == DemoCorpus(characters: 5000, seed: 7).text)
        #expect(text != DemoCorpus(characters: 5000, seed: 8).text)
        #expect(text.starts(with: DemoCorpus(characters: 1234, seed: 7).text))
        #expect(DemoCorpus(characters: 1).text.count == 1)
    }

    @Test("The text encodes to one byte a character")
    func encoded() throws {
        let corpus = try DemoCorpus(characters: 20_000).encoded()
        #expect(corpus.count == 20_000)
        #expect(corpus.tokenWidth == .one)
        #expect(corpus.source.path == nil)
        #expect(corpus.vocabulary.count > 30 && corpus.vocabulary.count < 60)
    }
}
