import Foundation

/// The characters of another program's model in the order of its tokens, which need not ascend as in ``Vocabulary``.
package struct TokenOrder: Sendable, Equatable {
    /// The character of each token; no two are the same.
    package let scalars: [Unicode.Scalar]

    /// The same characters in ascending order.
    package let vocabulary: Vocabulary

    /// Where the characters of ``vocabulary`` stand among the tokens.
    package var places: [Int] {
        let places = Dictionary(uniqueKeysWithValues: scalars.enumerated().map { ($1, $0) })
        return vocabulary.scalars.map { places[$0]! }
    }

    /// Reads a `vocabulary.json`, or JSON as Python programs keep a vocabulary: a string or a list of the characters in
    /// the order of their tokens, or an object from characters to tokens or from tokens to characters.
    ///
    /// - Throws: ``CorpusError/badVocabulary(name:reason:)``.
    package init(json: [UInt8], name: String) throws(CorpusError) {
        let scalars = try Self.scalars(json, name)
        self.scalars = scalars
        vocabulary = try Vocabulary(scalars: scalars, name: name)
        guard vocabulary.count == scalars.count else {
            throw .badVocabulary(name: name, reason: "a character comes twice in it")
        }
    }

    /// Reads a file of at most 16 MiB.
    package init(path: String) throws(CorpusError) {
        try self.init(json: Vocabulary.bytes(ofFile: path), name: path)
    }

    private static func scalars(_ json: [UInt8], _ name: String) throws(CorpusError) -> [Unicode.Scalar] {
        func refused(_ reason: String) -> CorpusError { .badVocabulary(name: name, reason: reason) }
        let data = Data(json)
        let decoder = JSONDecoder()
        if let text = try? decoder.decode(String.self, from: data) { return Array(text.unicodeScalars) }
        if let list = try? decoder.decode([String].self, from: data) { return try list.map(one) }
        if let tokens = try? decoder.decode([String: Int].self, from: data), tokens["format"] == nil {
            return try ordered(tokens.map { ($0.key, $0.value) })
        }
        if let characters = try? decoder.decode([String: String].self, from: data) {
            return try ordered(
                characters.map { (key, value) throws(CorpusError) in
                    guard let token = Int(key) else { throw refused("its keys are neither characters nor tokens") }
                    return (value, token)
                })
        }
        return try Vocabulary(json: json, name: name).scalars

        func one(_ text: String) throws(CorpusError) -> Unicode.Scalar {
            let scalars = text.unicodeScalars
            guard scalars.count == 1 else { throw refused("an entry of it is not one character") }
            return scalars.first!
        }

        func ordered(_ pairs: [(character: String, token: Int)]) throws(CorpusError) -> [Unicode.Scalar] {
            let sorted = pairs.sorted { $0.token < $1.token }
            guard sorted.map(\.token) == Array(0..<sorted.count) else {
                throw refused("its tokens are not 0 to \(sorted.count - 1)")
            }
            return try sorted.map { (pair) throws(CorpusError) in try one(pair.character) }
        }
    }
}
