import Corpus
import Foundation
import Testing

@Suite("Batched corpus")
struct BatchedCorpusTests {
    /// The text's scalars at some places, as a notebook's slices give them.
    private static func slice(_ corpus: EncodedCorpus, _ places: [Int]) -> [UInt32] { places.map { corpus[$0] } }

    @Test(
        "Rows, windows and shifted targets lie where the notebook's arithmetic puts them",
        arguments: [(97, 3, 5), (90, 3, 5), (104, 3, 5), (15, 3, 5), (40, 1, 7), (40, 8, 1), (1000, 4, 16)])
    func arithmetic(characters: Int, batch: Int, window: Int) throws {
        let text = String(decoding: DemoCorpus(characters: characters, seed: 5).text, as: UTF8.self)
        let corpus = try EncodedCorpus(text: text)
        let batched = try BatchedCorpus(corpus: corpus, batch: batch, window: window)
        let windows = characters / (batch * window)
        let length = windows * window
        #expect(batched.windows == windows)
        #expect(batched.rowLength == length)
        #expect(batched.usedCharacters == windows * batch * window)
        for row in 0..<batch {
            let start = row * length
            #expect(batched.rowStart(row) == start)
            for index in 0..<windows {
                let columns = Array(index * window..<(index + 1) * window)
                let (inputs, targets) = batched.batch(rows: row..<row + 1, window: index)
                #expect(inputs == Self.slice(corpus, columns.map { start + $0 }))
                #expect(targets == Self.slice(corpus, columns.map { start + ($0 + 1) % length }))
            }
        }
    }

    @Test("The last target of a row is the row's own first character")
    func wrap() throws {
        // Rows "abcdef" and "ghijkl"; the tail "mn" is dropped.
        let corpus = try EncodedCorpus(text: "abcdefghijklmn")
        let batched = try BatchedCorpus(corpus: corpus, batch: 2, window: 3)
        let (inputs, targets) = batched.batch(rows: 0..<2, window: 1)
        #expect(corpus.vocabulary.decode(inputs) == "defjkl")
        #expect(corpus.vocabulary.decode(targets) == "efaklg")
        #expect(corpus.vocabulary.decode(batched.tokens(rows: 0..<2, window: 0)) == "abcdghij")
        #expect(corpus.vocabulary.decode(batched.tokens(rows: 1..<2, window: 1)) == "jklg")
    }

    @Test("A range of rows is the same rows of the whole batch")
    func rowRanges() throws {
        let corpus = try DemoCorpus(characters: 4000, seed: 1).encoded()
        let batched = try BatchedCorpus(corpus: corpus, batch: 6, window: 10)
        for index in [0, 3, batched.windows - 1] {
            let whole = batched.batch(rows: 0..<6, window: index)
            let part = batched.batch(rows: 2..<5, window: index)
            #expect(part.inputs == Array(whole.inputs[20..<50]))
            #expect(part.targets == Array(whole.targets[20..<50]))
        }
    }

    @Test("A part of a text is cut as a text of its own")
    func ranges() throws {
        let corpus = try EncodedCorpus(text: "xyzabcdefghijklmn")
        let batched = try BatchedCorpus(corpus: corpus, range: 3..<17, batch: 2, window: 3)
        let (inputs, targets) = batched.batch(rows: 0..<2, window: 1)
        #expect(batched.rowStart(1) == 9)
        #expect(corpus.vocabulary.decode(inputs) == "defjkl")
        #expect(corpus.vocabulary.decode(targets) == "efaklg")
    }

    @Test("A text shorter than one window of the batch is refused with what is needed and present")
    func tooShort() throws {
        let corpus = try EncodedCorpus(text: "abcdefghijklmn", name: "short.txt")
        #expect(try BatchedCorpus(corpus: corpus, batch: 2, window: 7).windows == 1)
        let error = #expect(throws: CorpusError.self) { try BatchedCorpus(corpus: corpus, batch: 3, window: 5) }
        #expect(error == .tooShort(part: "short.txt", present: 14, batch: 3, window: 5))
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains("has 14 characters") && text.contains("needs 15"))
        #expect(text.contains("lower --batch or --window"))
        #expect(throws: CorpusError.badBatch(batch: 0, window: 5)) {
            try BatchedCorpus(corpus: corpus, batch: 0, window: 5)
        }
        #expect(throws: CorpusError.tooShort(part: "p", present: 14, batch: .max, window: .max)) {
            try BatchedCorpus(corpus: corpus, batch: .max, window: .max, part: "p")
        }
    }

    static let corpora = ProcessInfo.processInfo.environment["LOCKSTEP_CORPORA"]

    @Test(
        "The notebook's text gives the notebook's batches",
        .enabled(if: corpora != nil, "LOCKSTEP_CORPORA=DIR names the folder with anna.txt"))
    func notebook() throws {
        let corpus = try EncodedCorpus(path: try #require(Self.corpora) + "/anna.txt")
        #expect(corpus.count == 1_985_223)
        #expect(corpus.vocabulary.count == 83)
        #expect(corpus.tokenWidth == .one)
        let batched = try BatchedCorpus(corpus: corpus, batch: 3, window: 5)
        #expect(batched.rowLength == 661_740)
        #expect((0..<3).map(batched.rowStart) == [0, 661_740, 1_323_480])
        let first = batched.batch(rows: 0..<3, window: 0)
        #expect(corpus.vocabulary.decode(first.inputs) == "Chapt" + "ubjec" + "le ov")
        #expect(corpus.vocabulary.decode(first.targets) == "hapte" + "bject" + "e ove")
        let second = batched.batch(rows: 0..<3, window: 1)
        #expect(corpus.vocabulary.decode(second.inputs) == "er 1\n" + "t.\n\nL" + "er\nan")

        // The notebook numbers characters in another order (a Python set's); these are the numbers it gave.
        let numbers: [Character: UInt32] = [
            "C": 70, "h": 10, "a": 60, "p": 21, "t": 24, "e": 57, "r": 3, " ": 52, "1": 76, "\n": 64, "u": 12, "b": 31,
            "j": 73, "c": 78, ".": 35, "L": 8, "l": 72, "o": 62, "v": 34, "n": 49,
        ]
        func numbered(_ tokens: [UInt32]) -> [UInt32] {
            tokens.map { numbers[Character(corpus.vocabulary[$0])] ?? .max }
        }
        #expect(numbered(first.inputs) == [70, 10, 60, 21, 24, 12, 31, 73, 57, 78, 72, 57, 52, 62, 34])
        #expect(numbered(second.inputs) == [57, 3, 52, 76, 64, 24, 35, 64, 64, 8, 57, 3, 64, 60, 49])
    }

    @Test("The notebook's sizes follow from its arithmetic, whatever the text")
    func notebookSizes() throws {
        let corpus = try EncodedCorpus(text: String(repeating: "abcde", count: 397_044) + "abc")
        let batched = try BatchedCorpus(corpus: corpus, batch: 3, window: 5)
        #expect(corpus.count == 1_985_223)
        #expect(batched.rowLength == 661_740)
        #expect((0..<3).map(batched.rowStart) == [0, 661_740, 1_323_480])
    }

    @Test(
        "The held-out tail begins where Python's int(n * (1 - fraction)) does",
        arguments: [
            (1_985_223, 0.1, 1_786_700), (10, 0.1, 9), (100, 0.3, 70), (10, 0.7, 3), (1000, 0.9, 99), (7, 0.0, 7),
            (1, 0.5, 0), (1_000_000, 0.1, 900_000),
        ])
    func split(characters: Int, fraction: Double, cut: Int) throws {
        let split = try ValidationSplit(characters: characters, fraction: fraction)
        #expect(split.training == 0..<cut)
        #expect(split.validation == cut..<characters)
    }

    @Test("A fraction that leaves nothing to train on is refused", arguments: [1.0, -0.1, 2, .infinity])
    func badSplit(fraction: Double) {
        #expect(throws: CorpusError.badValidation(fraction: fraction)) {
            try ValidationSplit(characters: 10, fraction: fraction)
        }
        #expect(throws: CorpusError.self) { try ValidationSplit(characters: 10, fraction: .nan) }
    }

    @Test("Held-out columns are char-rnn's: the last windows of every row, shifted within the row")
    func columns() throws {
        let text = String(decoding: DemoCorpus(characters: 1000, seed: 5).text, as: UTF8.self)
        let corpus = try EncodedCorpus(text: text)
        let whole = try BatchedCorpus(corpus: corpus, batch: 4, window: 16)
        #expect(whole.windows == 15)
        let (training, validation) = try whole.split(holdingOut: 0.2)
        #expect(training.windows == 12 && validation.windows == 3)
        #expect(training.usedCharacters + validation.usedCharacters == whole.usedCharacters)
        for window in 0..<15 {
            let part =
                window < 12
                ? training.tokens(rows: 1..<3, window: window) : validation.tokens(rows: 1..<3, window: window - 12)
            #expect(part == whole.tokens(rows: 1..<3, window: window))
        }
        #expect(validation.columns(1..<3).tokens(rows: 1..<3, window: 0) == whole.tokens(rows: 1..<3, window: 13))
        // 446 windows of 50 x 50 are what tinyshakespeare has: char-rnn says 423 and 23.
        let long = try EncodedCorpus(text: String(repeating: "ab", count: 446 * 5))
        let (first, second) = try BatchedCorpus(corpus: long, batch: 2, window: 5).split(holdingOut: 0.05)
        #expect(first.windows == 423 && second.windows == 23)
    }

    @Test("Columns need a window on both sides", arguments: [1e-20, 0.6, 0.99])
    func tooFewColumns(fraction: Double) throws {
        let corpus = try EncodedCorpus(text: "abcabcabcabc")
        let batched = try BatchedCorpus(corpus: corpus, batch: 2, window: 3)
        let error = #expect(throws: CorpusError.self) { try batched.split(holdingOut: fraction) }
        #expect(error?.description.contains("has 2 windows") == true)
    }
}
