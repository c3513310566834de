import Foundation

/// `vocabulary.json`: `{"format": 1, "characters": "\n !',-.?ABC..."}`. The characters stand in one string in ascending
/// order, so a character's place in it, in Unicode scalars from 0, is its token.
extension Vocabulary: Codable {
    private enum Key: String, CodingKey { case format, characters }

    private static let format = 1
    /// Bytes: more than every Unicode scalar takes, each escaped.
    package static let largestFile = 16 << 20

    /// - Throws: ``CorpusError/badVocabulary(name:reason:)`` for another format, or characters that do not ascend; else
    ///   `DecodingError`.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        func refuse(_ reason: String) -> CorpusError { .badVocabulary(name: "the vocabulary", reason: reason) }
        let format = try container.decode(Int.self, forKey: .format)
        guard format == Self.format else {
            throw refuse("format \(format) is not known to this version of lockstep, which reads \(Self.format)")
        }
        let scalars = Array(try container.decode(String.self, forKey: .characters).unicodeScalars)
        guard !scalars.isEmpty else { throw refuse("it has no characters") }
        for (previous, next) in zip(scalars, scalars.dropFirst()) where next <= previous {
            throw refuse("\(printable(next)) does not ascend from \(printable(previous))")
        }
        self.init(ascending: scalars)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(Self.format, forKey: .format)
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        try container.encode(String(text), forKey: .characters)
    }

    /// Reads a `vocabulary.json`.
    ///
    /// - Throws: ``CorpusError`` for a file that cannot be read, is larger than 16 MiB, or whose characters do not ascend.
    package init(path: String) throws(CorpusError) {
        try self.init(json: Self.bytes(ofFile: path), name: path)
    }

    /// - Throws: ``CorpusError``, which for what can be no vocabulary does not speak of a text.
    static func bytes(ofFile path: String) throws(CorpusError) -> [UInt8] {
        do {
            return try TextSource(path: path, limit: largestFile).withBytes { Array($0) }
        } catch {
            let reason: String
            switch error {
            case .folder: reason = "it is a folder"
            case .notRegular: reason = "it is not a regular file"
            case .empty: reason = "it is empty"
            default: throw error
            }
            throw .badVocabulary(name: path, reason: reason)
        }
    }

    /// - Throws: ``CorpusError/badVocabulary(name:reason:)``.
    package init(json: [UInt8], name: String) throws(CorpusError) {
        do {
            self = try JSONDecoder().decode(Vocabulary.self, from: Data(json))
        } catch CorpusError.badVocabulary(_, let reason) {
            throw .badVocabulary(name: name, reason: reason)
        } catch DecodingError.keyNotFound(let key, _) {
            throw .badVocabulary(name: name, reason: "it has no \"\(key.stringValue)\"")
        } catch DecodingError.typeMismatch(_, let context) {
            let key = context.codingPath.last?.stringValue
            throw .badVocabulary(
                name: name, reason: key.map { "its \"\($0)\" is of the wrong type" } ?? "it is no JSON object")
        } catch {
            throw .badVocabulary(name: name, reason: "it is no JSON that can be read")
        }
    }

    /// The bytes of a `vocabulary.json`.
    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(self)) + [0x0A]
        } catch {
            preconditionFailure("a vocabulary always encodes: \(error)")
        }
    }
}
