extension TextSource {
    /// The character that begins at a byte of a text that was found to be UTF-8.
    ///
    /// - Throws: ``CorpusError/changedWhileRead(name:)`` where none begins there any more.
    package func scalar(at byteOffset: Int) throws(CorpusError) -> (scalar: Unicode.Scalar, length: Int) {
        let found = withBytes { bytes -> (Unicode.Scalar, Int)? in
            guard byteOffset >= 0, byteOffset < bytes.count,
                let (value, length) = try? StrictUTF8.decode(bytes, at: byteOffset),
                let scalar = Unicode.Scalar(value)
            else { return nil }
            return (scalar, length)
        }
        guard let found else { throw .changedWhileRead(name: name) }
        return found
    }

    /// How often each character that the vocabulary lacks comes, the most frequent first.
    package func unknownCharacters(to vocabulary: Vocabulary) throws(CorpusError) -> [(
        scalar: Unicode.Scalar, count: Int
    )] {
        var counts: [Unicode.Scalar: Int] = [:]
        var offset = 0
        while offset < byteCount {
            let (scalar, length) = try scalar(at: offset)
            if vocabulary.index(of: scalar) == nil { counts[scalar, default: 0] += 1 }
            offset += length
        }
        return counts.map { ($0.key, $0.value) }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
    }
}
