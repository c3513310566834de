import Corpus
import Foundation
import SeededNumbers
import Testing

@Suite("Encoded corpus")
struct EncodedCorpusTests {
    /// `count` distinct characters from U+0020 on, past the surrogates, each once and then in a random order.
    static func text(distinct count: Int, extra: Int, seed: UInt64) -> String {
        let scalars = (UInt32(0x20)...).lazy.compactMap { Unicode.Scalar($0) }.prefix(count)
        let alphabet = Array(scalars)
        var random = SplitMix64(seed: seed)
        var view = String.UnicodeScalarView()
        view.append(contentsOf: alphabet)
        for _ in 0..<extra { view.append(alphabet[random.next(below: count)]) }
        return String(view)
    }

    @Test(
        "A token takes as few bytes as the vocabulary allows, and every width gives the text back",
        arguments: [
            (2, EncodedCorpus.TokenWidth.one), (255, .one), (256, .one), (257, .two), (65_535, .two), (65_536, .two),
            (65_537, .four),
        ])
    func widths(vocabulary: Int, width: EncodedCorpus.TokenWidth) throws {
        let text = Self.text(distinct: vocabulary, extra: 2000, seed: UInt64(vocabulary))
        let corpus = try EncodedCorpus(text: text)
        #expect(corpus.vocabulary.count == vocabulary)
        #expect(corpus.tokenWidth == width)
        #expect(corpus.count == vocabulary + 2000)
        #expect(corpus.unknownCharacters == 0)
        let range = max(0, vocabulary - 500)..<corpus.count
        let expected = Array(text.unicodeScalars)[range]
        #expect(Array(corpus.text(range).unicodeScalars) == Array(expected))
        for index in stride(from: range.lowerBound, to: range.upperBound, by: 97) {
            #expect(corpus.vocabulary[corpus[index]] == expected[index])
        }
    }

    @Test("A file is mapped and encoded as its text is, and its bytes stay to be seen")
    func mappedFile() throws {
        let folder = try TemporaryFolder()
        let text = String(repeating: "Größe\r\n東京 is a city. 🙂 plain ASCII text follows here\n", count: 500)
        let path = try folder.file("text.txt", text.utf8)
        let fromFile = try EncodedCorpus(path: path)
        let fromText = try EncodedCorpus(text: text)
        #expect(fromFile.source.name == path)
        #expect(fromFile.source.path == path)
        #expect(fromFile.vocabulary == fromText.vocabulary)
        #expect(fromFile.count == text.unicodeScalars.count)
        #expect(fromFile.tokens(0..<fromFile.count) == fromText.tokens(0..<fromText.count))
        #expect(fromFile.source.byteCount == text.utf8.count)
        #expect(fromFile.source.withBytes { Array($0) } == Array(text.utf8))
    }

    @Test("Tokens are the same for every length around a block of eight")
    func blockEdges() throws {
        for length in 1...40 {
            for accent in [0, length / 2, length - 1] {
                var scalars = (0..<length).map { Unicode.Scalar(UInt8(97 + $0 % 26)) }
                scalars[accent] = "\u{E9}"
                var view = String.UnicodeScalarView()
                view.append(contentsOf: scalars)
                let corpus = try EncodedCorpus(text: String(view))
                #expect(corpus.tokens(0..<corpus.count).map { corpus.vocabulary[$0] } == scalars)
            }
        }
    }

    @Test("Under a given vocabulary the tokens are that vocabulary's")
    func givenVocabulary() throws {
        let corpus = try EncodedCorpus(text: "cab", vocabulary: Vocabulary(text: "abcdef\u{1F642}"))
        #expect(corpus.vocabulary.count == 7)
        #expect(corpus.tokens(0..<3) == [2, 0, 1])
    }

    @Test("A character that a given vocabulary lacks is refused with its place")
    func unknownRefused() throws {
        let vocabulary = try Vocabulary(text: "abcdefgh \n\u{E9}")
        let error = #expect(throws: CorpusError.self) {
            try EncodedCorpus(text: "aé\nabcdefgh\nab€Z", name: "t.txt", vocabulary: vocabulary)
        }
        let expected = UnknownCharacter(
            name: "t.txt", scalar: "\u{20AC}", characterOffset: 14, byteOffset: 15, line: 3, column: 3)
        #expect(error == .unknownCharacter(expected))
    }

    @Test("Characters that a given vocabulary lacks can be left out, and are counted")
    func unknownLeftOut() throws {
        let vocabulary = try Vocabulary(text: "abcdefgh")
        let text = "abc€defghabcdefghabcZdefgh€"
        let corpus = try EncodedCorpus(text: text, vocabulary: vocabulary, unknown: .leftOut)
        #expect(corpus.unknownCharacters == 3)
        #expect(corpus.text(0..<corpus.count) == "abcdefghabcdefghabcdefgh")
        #expect(throws: CorpusError.noKnownCharacter(name: "t")) {
            try EncodedCorpus(text: "xyz", name: "t", vocabulary: vocabulary, unknown: .leftOut)
        }
    }

    @Test("A path that names no readable text is refused, each with its reason")
    func badPaths() throws {
        let folder = try TemporaryFolder()
        let missing = folder.path + "/missing.txt"
        #expect(throws: CorpusError.missing(path: missing)) { try EncodedCorpus(path: missing) }
        #expect(throws: CorpusError.folder(path: folder.path)) { try EncodedCorpus(path: folder.path) }
        let empty = try folder.file("empty.txt", [])
        #expect(throws: CorpusError.empty(name: empty)) { try EncodedCorpus(path: empty) }
        #expect(throws: CorpusError.empty(name: "the text")) { try EncodedCorpus(text: "") }
        let file = try folder.file("file.txt", Array("text".utf8))
        #expect(throws: CorpusError.unreadable(path: file + "/x", reason: "Not a directory")) {
            try EncodedCorpus(path: file + "/x")
        }
        #expect(throws: CorpusError.tooLarge(name: file, bytes: 4, limit: 3)) { try TextSource(path: file, limit: 3) }
        let pipe = folder.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(throws: CorpusError.notRegular(path: pipe)) { try EncodedCorpus(path: pipe) }
    }

    @Test("A file that is written to while it is read is refused")
    func changedWhileRead() throws {
        let folder = try TemporaryFolder()
        let path = try folder.file("growing.txt", Array("one line\n".utf8))
        let source = try TextSource(path: path)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Array("another\n".utf8))
        try handle.close()
        #expect(throws: CorpusError.changedWhileRead(name: path)) { try EncodedCorpus(source: source) }
    }

    @Test("Every message is one line")
    func messages() throws {
        let unknown = UnknownCharacter(
            name: "t", scalar: "\n", characterOffset: 1, byteOffset: 1, line: 1, column: 2)
        let errors: [CorpusError] = [
            .missing(path: "p"), .folder(path: "p"), .notRegular(path: "p"), .unreadable(path: "p", reason: "r"),
            .empty(name: "n"), .tooLarge(name: "n", bytes: 2, limit: 1), .outOfMemory(name: "n", bytes: 1),
            .changedWhileRead(name: "n"), .unknownCharacter(unknown), .noKnownCharacter(name: "n"),
            .tooShort(part: "n", present: 1, batch: 2, window: 3), .badBatch(batch: 0, window: 1),
            .badValidation(fraction: 2), .badVocabulary(name: "n", reason: "r"),
        ]
        for error in errors {
            let text = "\(error)"
            #expect(!text.isEmpty && !text.contains("\n"))
        }
    }
}
