import Foundation

/// A text as tokens: `N` of them, each one byte where the vocabulary has at most 256 characters, two up to 65,536,
/// else four.
///
/// The text is read twice, by a scan and by the encoding proper, and never held as a `String`. Memory: `N` times the
/// token's width, beside the mapped file that the system may drop.
package final class EncodedCorpus: @unchecked Sendable {
    // @unchecked: the tokens are written in init and only read afterwards.

    /// What becomes of characters that a given vocabulary lacks.
    package enum UnknownCharacters: Sendable {
        /// The text is refused: every character must be trained on.
        case refused
        /// They are left out and counted, to score a text that a model was not trained on.
        case leftOut
    }

    /// Bytes of a token in memory.
    package enum TokenWidth: Int, Sendable, Equatable {
        case one = 1
        case two = 2
        case four = 4

        package init(vocabulary: Int) {
            self = vocabulary <= 1 << 8 ? .one : vocabulary <= 1 << 16 ? .two : .four
        }
    }

    package let source: TextSource
    package let vocabulary: Vocabulary
    /// `N`, in characters.
    package let count: Int
    /// Characters of the text that the vocabulary lacks and that were left out.
    package let unknownCharacters: Int
    package let tokenWidth: TokenWidth

    private let storage: UnsafeMutableRawPointer

    /// Encodes a text under its own vocabulary, or under one that is given.
    ///
    /// - Throws: ``CorpusError`` for malformed UTF-8, a character that the given vocabulary lacks, a file that changes
    ///   meanwhile, or too little memory.
    package init(
        source: TextSource, vocabulary given: Vocabulary? = nil, unknown: UnknownCharacters = .refused
    ) throws(CorpusError) {
        let scan = try TextScan(source)
        let own = Vocabulary(ascending: scan.distinct)
        let vocabulary = given ?? own
        let lacking = Set(own.scalars.filter { vocabulary.index(of: $0) == nil })
        if unknown == .refused && !lacking.isEmpty { throw Self.firstUnknown(in: source, of: lacking) }

        let width = TokenWidth(vocabulary: vocabulary.count)
        guard let storage = malloc(scan.characters * width.rawValue) else {
            throw .outOfMemory(name: source.name, bytes: scan.characters * width.rawValue)
        }
        let written: Int? =
            switch width {
            case .one: Self.encode(source, vocabulary, skips: !lacking.isEmpty, scan, storage, as: UInt8.self)
            case .two: Self.encode(source, vocabulary, skips: !lacking.isEmpty, scan, storage, as: UInt16.self)
            case .four: Self.encode(source, vocabulary, skips: !lacking.isEmpty, scan, storage, as: UInt32.self)
            }
        guard let written, source.isUnchanged else {
            free(storage)
            throw .changedWhileRead(name: source.name)
        }
        guard written > 0 else {
            free(storage)
            throw .noKnownCharacter(name: source.name)
        }
        self.source = source
        self.vocabulary = vocabulary
        self.storage = storage
        count = written
        unknownCharacters = scan.characters - written
        tokenWidth = width
    }

    /// Encodes a file.
    ///
    /// - Throws: ``CorpusError``, also for a path that names no readable file.
    package convenience init(
        path: String, vocabulary: Vocabulary? = nil, unknown: UnknownCharacters = .refused
    ) throws(CorpusError) {
        try self.init(source: TextSource(path: path), vocabulary: vocabulary, unknown: unknown)
    }

    /// Encodes a text that is no file.
    ///
    /// - Throws: ``CorpusError``.
    package convenience init(
        text: String, name: String = "the text", vocabulary: Vocabulary? = nil, unknown: UnknownCharacters = .refused
    ) throws(CorpusError) {
        try self.init(source: TextSource(text: text, name: name), vocabulary: vocabulary, unknown: unknown)
    }

    deinit { free(storage) }

    /// The token of one character; bounds are checked.
    package subscript(index: Int) -> UInt32 {
        precondition(index >= 0 && index < count)
        return switch tokenWidth {
        case .one: UInt32(storage.load(fromByteOffset: index, as: UInt8.self))
        case .two: UInt32(storage.load(fromByteOffset: index * 2, as: UInt16.self))
        case .four: storage.load(fromByteOffset: index * 4, as: UInt32.self)
        }
    }

    /// The tokens of a range of characters.
    package func tokens(_ range: Range<Int>) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: range.count) { buffer, initialized in
            copyTokens(range, to: buffer)
            initialized = range.count
        }
    }

    /// Copies the tokens of a range of characters to the front of `destination`.
    package func copyTokens(_ range: Range<Int>, to destination: UnsafeMutableBufferPointer<UInt32>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count && destination.count >= range.count)
        func copy<Token: FixedWidthInteger>(_: Token.Type) {
            let tokens = UnsafeBufferPointer(start: storage.assumingMemoryBound(to: Token.self), count: count)
            for (offset, token) in tokens[range].enumerated() {
                destination[offset] = UInt32(truncatingIfNeeded: token)
            }
        }
        switch tokenWidth {
        case .one: copy(UInt8.self)
        case .two: copy(UInt16.self)
        case .four: copy(UInt32.self)
        }
    }

    /// The text that a range of tokens stands for.
    package func text(_ range: Range<Int>) -> String { vocabulary.decode(tokens(range)) }

    /// The second pass. Returns how many tokens were written, or nil where the text is not the one that was scanned: no
    /// bound is taken on trust, for another program may write to a mapped file.
    private static func encode<Token: FixedWidthInteger>(
        _ source: TextSource, _ vocabulary: Vocabulary, skips: Bool, _ scan: TextScan,
        _ storage: UnsafeMutableRawPointer, as: Token.Type
    ) -> Int? {
        let missing = UInt32.max
        let table = vocabulary.table(missing: missing)
        let narrow = (0..<256).map { $0 < table.count ? Token(truncatingIfNeeded: table[$0]) : 0 }
        let tokens = UnsafeMutableBufferPointer(
            start: storage.bindMemory(to: Token.self, capacity: scan.characters), count: scan.characters)
        return source.withBytes { bytes in
            table.withUnsafeBufferPointer { table in
                narrow.withUnsafeBufferPointer { narrow in
                    var offset = 0
                    var written = 0
                    var left = 0
                    while offset < bytes.count {
                        if !skips, offset + 8 <= bytes.count, written + 8 <= tokens.count,
                            bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & TextScan.highBits == 0
                        {
                            for index in 0..<8 { tokens[written + index] = narrow[Int(bytes[offset + index])] }
                            offset += 8
                            written += 8
                            continue
                        }
                        guard let (scalar, length) = try? StrictUTF8.decode(bytes, at: offset) else { return nil }
                        offset += length
                        let token = Int(scalar) < table.count ? table[Int(scalar)] : missing
                        if token == missing {
                            left += 1
                        } else {
                            guard written < tokens.count else { return nil }
                            tokens[written] = Token(truncatingIfNeeded: token)
                            written += 1
                        }
                    }
                    return written + left == scan.characters && (skips || left == 0) ? written : nil
                }
            }
        }
    }

    /// Walks again to where the first of the unknown characters stands.
    private static func firstUnknown(in source: TextSource, of lacking: Set<Unicode.Scalar>) -> CorpusError {
        source.withBytes { bytes in
            var position = TextPosition()
            while position.byteOffset < bytes.count,
                let (value, _) = try? StrictUTF8.decode(bytes, at: position.byteOffset),
                let scalar = Unicode.Scalar(value)
            {
                if lacking.contains(scalar) {
                    return .unknownCharacter(position.unknown(scalar, name: source.name))
                }
                position.advance(over: scalar)
            }
            return .changedWhileRead(name: source.name)
        }
    }
}
