/// The `V` distinct characters (Unicode scalars) of a text in ascending order; a character's index is its token.
///
/// Nothing is normalised and nothing is clustered: `é` is one character or two, as the text has it, and CRLF is two.
package struct Vocabulary: Sendable, Equatable {
    /// Ascending and distinct; never empty.
    package let scalars: [Unicode.Scalar]

    /// The distinct characters of what is given, in order.
    ///
    /// - Throws: ``CorpusError/badVocabulary(name:reason:)`` where there are none.
    package init(scalars: some Sequence<Unicode.Scalar>, name: String = "the text") throws(CorpusError) {
        let distinct = Set(scalars).sorted()
        guard !distinct.isEmpty else { throw .badVocabulary(name: name, reason: "it has no characters") }
        self.scalars = distinct
    }

    /// - Throws: ``CorpusError/badVocabulary(name:reason:)`` for an empty text.
    package init(text: String) throws(CorpusError) {
        try self.init(scalars: text.unicodeScalars)
    }

    /// The characters of a text that may be a large file: one pass over its bytes.
    ///
    /// - Throws: ``CorpusError/invalidUTF8(name:byte:byteOffset:line:fault:)``.
    package init(source: TextSource) throws(CorpusError) {
        self.init(ascending: try TextScan(source).distinct)
    }

    /// A vocabulary of scalars that are known to ascend; at least one.
    init(ascending scalars: [Unicode.Scalar]) {
        self.scalars = scalars
    }

    /// `V`.
    package var count: Int { scalars.count }

    /// The character of a token below ``count``.
    package subscript(token: UInt32) -> Unicode.Scalar { scalars[Int(token)] }

    /// The token of a character; nil where the vocabulary lacks it.
    package func index(of scalar: Unicode.Scalar) -> UInt32? {
        var low = 0
        var high = scalars.count
        while low < high {
            let middle = (low + high) / 2
            if scalars[middle] < scalar { low = middle + 1 } else { high = middle }
        }
        return low < scalars.count && scalars[low] == scalar ? UInt32(low) : nil
    }

    /// The tokens of a short text such as a prompt; ``EncodedCorpus`` is for large ones.
    ///
    /// - Throws: ``CorpusError/unknownCharacter(_:)`` naming the first character that the vocabulary lacks.
    package func encode(_ text: String, name: String = "the text") throws(CorpusError) -> [UInt32] {
        var tokens: [UInt32] = []
        var position = TextPosition()
        for scalar in text.unicodeScalars {
            guard let token = index(of: scalar) else { throw .unknownCharacter(position.unknown(scalar, name: name)) }
            tokens.append(token)
            position.advance(over: scalar)
        }
        return tokens
    }

    /// The text of tokens that are all below ``count``.
    package func decode(_ tokens: some Sequence<UInt32>) -> String {
        var text = String.UnicodeScalarView()
        for token in tokens { text.append(self[token]) }
        return String(text)
    }

    /// The token of every code point up to the last character's, and `missing` where there is none.
    func table(missing: UInt32) -> [UInt32] {
        var table = [UInt32](repeating: missing, count: Int(scalars.last!.value) + 1)
        for (token, scalar) in scalars.enumerated() { table[Int(scalar.value)] = UInt32(token) }
        return table
    }
}
