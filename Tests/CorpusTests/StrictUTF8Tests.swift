import Corpus
import Foundation
import SeededNumbers
import Testing

@Suite("Strict UTF-8")
struct StrictUTF8Tests {
    struct Malformed: CustomStringConvertible {
        let bytes: [UInt8]
        let fault: StrictUTF8.Fault
        var description: String { bytes.map { String($0, radix: 16) }.joined(separator: " ") }

        init(_ bytes: [UInt8], _ fault: StrictUTF8.Fault) {
            self.bytes = bytes
            self.fault = fault
        }
    }

    static let malformed: [Malformed] = [
        Malformed([0x80], .strayContinuation), Malformed([0xBF], .strayContinuation),
        Malformed([0xC0, 0x80], .overlong), Malformed([0xC1, 0xBF], .overlong),
        Malformed([0xE0, 0x80, 0x80], .overlong), Malformed([0xE0, 0x9F, 0xBF], .overlong),
        Malformed([0xF0, 0x80, 0x80, 0x80], .overlong), Malformed([0xF0, 0x8F, 0xBF, 0xBF], .overlong),
        Malformed([0xED, 0xA0, 0x80], .surrogate), Malformed([0xED, 0xBF, 0xBF], .surrogate),
        Malformed([0xF4, 0x90, 0x80, 0x80], .aboveLastScalar), Malformed([0xF5, 0x80, 0x80, 0x80], .aboveLastScalar),
        Malformed([0xFE], .aboveLastScalar), Malformed([0xFF], .aboveLastScalar),
        Malformed([0xC3], .cutShort), Malformed([0xC3, 0x41], .cutShort), Malformed([0xC3, 0xC3], .cutShort),
        Malformed([0xE2, 0x82], .cutShort), Malformed([0xE2, 0x82, 0x41], .cutShort),
        Malformed([0xF0, 0x9F, 0x99], .cutShort), Malformed([0xF0, 0x9F, 0x99, 0x41], .cutShort),
        Malformed([0xF0], .cutShort),
    ]

    @Test("A malformed sequence is refused with its fault and offset, wherever it stands", arguments: malformed)
    func refused(example: Malformed) {
        // Around the blocks of eight bytes that are taken at once, after other characters, and at the end.
        for lead in [0, 1, 7, 8, 9, 16] {
            for (trailer, isOpen) in [("", true), ("abcdefghijk", false)] {
                let text = Array("\n".utf8) + Array("é".utf8) + Array(repeating: 0x61, count: lead)
                let bytes = text + example.bytes + Array(trailer.utf8)
                let expected = CorpusError.invalidUTF8(
                    name: "t", byte: example.bytes[0], byteOffset: text.count, line: 2, fault: example.fault)
                #expect(throws: expected, "lead \(lead), at the end: \(isOpen)") {
                    try EncodedCorpus(source: TextSource(bytes: bytes, name: "t"))
                }
            }
        }
    }

    @Test("Every scalar is taken, each as itself")
    func everyScalar() throws {
        // One of 97 is enough to meet every first byte; the limits of each length are added.
        let limits: [UInt32] = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
        let scalars = (stride(from: 0, through: 0x10FFFF, by: 97) + limits).compactMap { Unicode.Scalar($0) }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        let corpus = try EncodedCorpus(text: String(view))
        #expect(corpus.count == scalars.count)
        #expect(corpus.vocabulary.scalars == Set(scalars).sorted())
        #expect(corpus.tokens(0..<corpus.count).map { corpus.vocabulary[$0] } == scalars)
    }

    @Test("Random bytes are taken exactly when Swift's own decoder takes them", arguments: 0..<8)
    func agreesWithStandardLibrary(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        // Bytes that begin and continue sequences, so that many are nearly right.
        let alphabet: [UInt8] = [
            0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF4, 0xF5,
        ]
        var taken = 0
        for _ in 0..<3000 {
            let bytes = (0..<1 + random.next(below: 6)).map { _ in alphabet[random.next(below: alphabet.count)] }
            let expected = String(validating: bytes, as: UTF8.self)
            let corpus = try? EncodedCorpus(source: TextSource(bytes: bytes, name: "t"))
            #expect(corpus?.text(0..<corpus!.count) == expected, "\(bytes)")
            if expected != nil { taken += 1 }
        }
        #expect(taken > 30 && taken < 2900)
    }

    @Test("The message of a malformed text says where and what to do")
    func message() {
        let error = CorpusError.invalidUTF8(name: "a.txt", byte: 0x0F, byteOffset: 12, line: 3, fault: .overlong)
        #expect(
            "\(error)"
                == "a.txt is not UTF-8: byte 0x0F at byte offset 12 (line 3) begins an overlong form: "
                + "convert the text, for example with iconv -t UTF-8")
    }
}
