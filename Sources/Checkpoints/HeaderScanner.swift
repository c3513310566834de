/// Reads the little of JSON that a safetensors header may hold: objects, strings and arrays of whole numbers.
///
/// It knows no nesting but that of its callers, so that no input can exhaust the stack.
struct HeaderScanner {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Scans an object; `value` is called at the value of each key and must scan it.
    mutating func scanObject(
        _ value: (inout HeaderScanner, String) throws(SafetensorsError) -> Void
    ) throws(SafetensorsError) {
        try expect("{")
        if skip("}") { return }
        repeat {
            let key = try scanString()
            try expect(":")
            try value(&self, key)
        } while skip(",")
        try expect("}")
    }

    /// Scans an array of numbers from 0 to the largest `Int`.
    mutating func scanIntegers() throws(SafetensorsError) -> [Int] {
        try expect("[")
        var values: [Int] = []
        if skip("]") { return values }
        repeat { values.append(try scanInteger()) } while skip(",")
        try expect("]")
        return values
    }

    mutating func scanString() throws(SafetensorsError) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw failure("a string that is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): try scanEscape(into: &text)
            case 0..<0x20: throw failure("a control character in a string")
            default: text.append(byte)
            }
        }
        throw failure("a string without an end")
    }

    /// Checks that the object begins at once, as the format asks.
    func checkStart() throws(SafetensorsError) {
        guard bytes.first == UInt8(ascii: "{") else { throw failure("something else than {") }
    }

    /// Scans the rest, which may only be spaces.
    mutating func scanPadding() throws(SafetensorsError) {
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: " ") else { throw failure("something after its object") }
            position += 1
        }
    }

    private mutating func scanInteger() throws(SafetensorsError) -> Int {
        skipSpace()
        let start = position
        var value = 0
        while position < bytes.count, case let digit = Int(bytes[position]) - 0x30, (0...9).contains(digit) {
            let (tenfold, first) = value.multipliedReportingOverflow(by: 10)
            let (sum, second) = tenfold.addingReportingOverflow(digit)
            if first || second { throw failure("a number that is too large") }
            value = sum
            position += 1
        }
        let length = position - start
        guard length > 0, length == 1 || bytes[start] != UInt8(ascii: "0") else {
            throw failure("something else than a whole number of at least 0")
        }
        return value
    }

    private mutating func scanEscape(into text: inout [UInt8]) throws(SafetensorsError) {
        guard position < bytes.count else { throw failure("a string without an end") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try scanHexadecimal()
            if (0xd800..<0xdc00).contains(code) {
                guard bytes.count - position >= 2, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw failure("half a surrogate pair") }
                position += 2
                let low = try scanHexadecimal()
                guard (0xdc00..<0xe000).contains(low) else { throw failure("half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
            text += Array(String(Character(scalar)).utf8)
        default: throw failure("an unknown escape")
        }
    }

    private mutating func scanHexadecimal() throws(SafetensorsError) -> UInt32 {
        guard bytes.count - position >= 4 else { throw failure("a string without an end") }
        var code: UInt32 = 0
        for byte in bytes[position..<position + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw failure("an unknown escape") }
            code = code << 4 | UInt32(digit)
        }
        position += 4
        return code
    }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
    }

    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: scalar) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ scalar: Unicode.Scalar) throws(SafetensorsError) {
        guard skip(scalar) else {
            throw failure(position < bytes.count ? "something else than \(scalar)" : "its end before \(scalar)")
        }
    }

    private func failure(_ what: String) -> SafetensorsError {
        SafetensorsError("the header has \(what) at byte \(position)")
    }
}
