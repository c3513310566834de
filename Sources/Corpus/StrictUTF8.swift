/// UTF-8 as the Unicode Standard's table 3-7 has it: no overlong form, no surrogate, nothing above U+10FFFF.
package enum StrictUTF8 {
    /// Why a sequence of bytes is no character.
    package enum Fault: Error, Equatable, Sendable {
        case strayContinuation
        case overlong
        case surrogate
        case aboveLastScalar
        case cutShort

        var explanation: String {
            switch self {
            case .strayContinuation: "continues a character that never began"
            case .overlong: "begins an overlong form"
            case .surrogate: "begins a surrogate, which only UTF-16 has"
            case .aboveLastScalar: "begins a value above U+10FFFF"
            case .cutShort: "begins a character whose bytes do not follow"
            }
        }
    }

    /// The scalar that begins at `offset`, and how many bytes it takes, 1 to 4.
    ///
    /// - Precondition: `offset` lies within `bytes`.
    /// - Throws: the fault of the sequence that begins there.
    @inline(__always)
    static func decode(
        _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(Fault) -> (scalar: UInt32, length: Int) {
        let first = bytes[offset]
        if first < 0x80 { return (UInt32(first), 1) }
        if first < 0xC0 { throw .strayContinuation }
        if first < 0xC2 { throw .overlong }
        if first > 0xF4 { throw .aboveLastScalar }

        @inline(__always)
        func continuation(_ distance: Int) throws(Fault) -> UInt32 {
            guard offset + distance < bytes.count else { throw .cutShort }
            let byte = bytes[offset + distance]
            guard byte & 0xC0 == 0x80 else { throw .cutShort }
            return UInt32(byte & 0x3F)
        }

        let second = try continuation(1)
        if first < 0xE0 { return (UInt32(first & 0x1F) << 6 | second, 2) }
        if first < 0xF0 {
            if first == 0xE0 && second < 0x20 { throw .overlong }
            if first == 0xED && second >= 0x20 { throw .surrogate }
            let third = try continuation(2)
            return (UInt32(first & 0x0F) << 12 | second << 6 | third, 3)
        }
        if first == 0xF0 && second < 0x10 { throw .overlong }
        if first == 0xF4 && second >= 0x10 { throw .aboveLastScalar }
        let third = try continuation(2)
        let fourth = try continuation(3)
        return (UInt32(first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
    }
}
