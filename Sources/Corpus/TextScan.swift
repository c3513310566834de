/// The first of the two passes over a text: it proves the UTF-8, counts the characters and notes which there are.
struct TextScan {
    /// The bits that are 0 in eight ASCII characters.
    static let highBits: UInt64 = 0x8080_8080_8080_8080

    /// `N`.
    let characters: Int
    /// Ascending.
    let distinct: [Unicode.Scalar]

    /// - Throws: ``CorpusError/invalidUTF8(name:byte:byteOffset:line:fault:)`` for the first malformed sequence.
    init(_ source: TextSource) throws(CorpusError) {
        var isASCIIPresent = [Bool](repeating: false, count: 128)
        var others = [UInt64](repeating: 0, count: 0x110000 / 64)
        characters = try source.withBytes { bytes throws(CorpusError) in
            try isASCIIPresent.withUnsafeMutableBufferPointer { ascii throws(CorpusError) in
                try others.withUnsafeMutableBufferPointer { others throws(CorpusError) in
                    try Self.scan(bytes, name: source.name, ascii: ascii, others: others)
                }
            }
        }
        var scalars = isASCIIPresent.indices.filter { isASCIIPresent[$0] }.map { Unicode.Scalar(UInt8($0)) }
        for index in others.indices where others[index] != 0 {
            for bit in 0..<64 where others[index] >> UInt64(bit) & 1 == 1 {
                if let scalar = Unicode.Scalar(UInt32(index * 64 + bit)) { scalars.append(scalar) }
            }
        }
        distinct = scalars
    }

    /// Marks the characters, ASCII by code and others by bit. Returns how many characters there are.
    private static func scan(
        _ bytes: UnsafeRawBufferPointer, name: String, ascii: UnsafeMutableBufferPointer<Bool>,
        others: UnsafeMutableBufferPointer<UInt64>
    ) throws(CorpusError) -> Int {
        var count = 0
        var offset = 0
        while offset < bytes.count {
            // Eight ASCII characters at a time, as most texts are made of nothing else.
            if offset + 8 <= bytes.count,
                bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & highBits == 0
            {
                // Masked once more: the file may have changed since the line above.
                for index in offset..<offset + 8 { ascii[Int(bytes[index] & 0x7F)] = true }
                offset += 8
                count += 8
                continue
            }
            do throws(StrictUTF8.Fault) {
                let (scalar, length) = try StrictUTF8.decode(bytes, at: offset)
                if scalar < 0x80 {
                    ascii[Int(scalar)] = true
                } else {
                    others[Int(scalar / 64)] |= 1 << UInt64(scalar % 64)
                }
                offset += length
                count += 1
            } catch {
                let line = 1 + bytes[..<offset].reduce(0) { $1 == 0x0A ? $0 + 1 : $0 }
                throw .invalidUTF8(name: name, byte: bytes[offset], byteOffset: offset, line: line, fault: error)
            }
        }
        return count
    }
}
