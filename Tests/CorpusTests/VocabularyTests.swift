import Corpus
import Foundation
import Testing

@Suite("Vocabulary")
struct VocabularyTests {
    @Test("Characters are the distinct scalars in ascending order, and a token is a place among them")
    func ascending() throws {
        let vocabulary = try Vocabulary(text: "hello world\n")
        #expect(vocabulary.scalars == ["\n", " ", "d", "e", "h", "l", "o", "r", "w"])
        #expect(vocabulary.count == 9)
        #expect(vocabulary.index(of: "h") == 4)
        #expect(vocabulary[4] == "h")
        #expect(vocabulary.index(of: "a") == nil)
        #expect(vocabulary.index(of: "z") == nil)
    }

    @Test("CRLF is two characters and a combining mark stands alone")
    func noClustering() throws {
        let vocabulary = try Vocabulary(text: "e\u{301}\r\n\u{E9}")
        #expect(vocabulary.scalars == ["\n", "\r", "e", "\u{E9}", "\u{301}"])
        #expect(try vocabulary.encode("\r\ne\u{301}") == [1, 0, 2, 4])
        #expect(Array(vocabulary.decode([1, 0, 2, 4]).unicodeScalars) == ["\r", "\n", "e", "\u{301}"])
    }

    @Test(
        "Any text comes back from its tokens",
        arguments: ["a", "\u{0}\u{7F}\u{10FFFF}", "\u{FEFF}naïve 東京 🙂\r\n", "\u{301}"])
    func roundTrip(text: String) throws {
        let vocabulary = try Vocabulary(text: text)
        #expect(Array(vocabulary.decode(try vocabulary.encode(text)).utf8) == Array(text.utf8))
    }

    @Test("A file's vocabulary is that of its text")
    func fromSource() throws {
        let text = "Grüße aus 東京, €5 🙂\n"
        #expect(try Vocabulary(source: TextSource(text: text)) == Vocabulary(text: text))
    }

    @Test("An unknown character is named with its place")
    func unknown() throws {
        let vocabulary = try Vocabulary(text: "ab\n")
        let error = #expect(throws: CorpusError.self) { try vocabulary.encode("ab\nb\u{E9}a", name: "--prime") }
        let expected = UnknownCharacter(
            name: "--prime", scalar: "\u{E9}", characterOffset: 4, byteOffset: 4, line: 2, column: 2)
        #expect(error == .unknownCharacter(expected))
        #expect("\(expected)".contains("'é' (U+00E9), at line 2, column 2 (character offset 4, byte offset 4)"))
    }

    @Test("An empty text has no vocabulary")
    func emptyText() {
        #expect(throws: CorpusError.badVocabulary(name: "the text", reason: "it has no characters")) {
            try Vocabulary(text: "")
        }
    }

    @Test(
        "A character is printed so that it can be seen",
        arguments: [
            ("a", "'a' (U+0061)"), ("\n", "'\\n' (U+000A)"), ("\r", "'\\r' (U+000D)"), ("\t", "'\\t' (U+0009)"),
            ("\u{0}", "U+0000"), ("\u{200B}", "U+200B"), ("\u{301}", "'\u{25CC}\u{301}' (U+0301)"),
            ("🙂", "'🙂' (U+1F642)"),
        ] as [(Unicode.Scalar, String)])
    func printing(scalar: Unicode.Scalar, expected: String) {
        #expect(printable(scalar) == expected)
    }

    @Test("A vocabulary file gives the same vocabulary back")
    func fileRoundTrip() throws {
        let folder = try TemporaryFolder()
        let vocabulary = try Vocabulary(text: "\u{0}\t\n\r \"\\/é\u{301}\u{2028}\u{FEFF}\u{FFFF}🙂\u{10FFFF}")
        let path = folder.path + "/vocabulary.json"
        try Data(vocabulary.json).write(to: URL(fileURLWithPath: path))
        #expect(try Vocabulary(path: path) == vocabulary)
    }

    @Test("A vocabulary file is plain JSON whose characters stand in one string")
    func fileFormat() throws {
        let json = String(decoding: try Vocabulary(text: "b/a\n").json, as: UTF8.self)
        #expect(json == "{\n  \"characters\" : \"\\n/ab\",\n  \"format\" : 1\n}\n")
    }

    @Test(
        "A vocabulary file that is not one is refused with the reason",
        arguments: [
            (#"{"format": 1, "characters": ""}"#, "it has no characters"),
            (#"{"format": 1, "characters": "ba"}"#, "'a' (U+0061) does not ascend from 'b' (U+0062)"),
            (#"{"format": 1, "characters": "aa"}"#, "'a' (U+0061) does not ascend from 'a' (U+0061)"),
            (#"{"format": 2, "characters": "ab"}"#, "format 2 is not known"),
            (#"{"format": 1}"#, #"it has no "characters""#),
            (#"{"format": 1, "characters": ["a"]}"#, #"its "characters" is of the wrong type"#),
            (#"{"format": 1, "characters": "\ud800"}"#, "no JSON that can be read"),
            (#"[1]"#, "it is no JSON object"),
            ("not JSON", "no JSON that can be read"),
            (String(repeating: "[", count: 100_000), "no JSON that can be read"),
        ])
    func refusals(json: String, reason: String) throws {
        let error = #expect(throws: CorpusError.self) { try Vocabulary(json: Array(json.utf8), name: "v.json") }
        guard case .badVocabulary("v.json", let stated) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(stated.contains(reason))
    }

    @Test("A vocabulary file that is too large is refused unread")
    func tooLarge() throws {
        let folder = try TemporaryFolder()
        let path = try folder.file("large.json", [0x7B])
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: 17 << 20)
        try handle.close()
        #expect(throws: CorpusError.tooLarge(name: path, bytes: 17 << 20, limit: 16 << 20)) {
            try Vocabulary(path: path)
        }
    }
}
