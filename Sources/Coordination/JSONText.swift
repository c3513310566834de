/// Builds JSON text, where `JSONEncoder` takes too long: what watchers read is made with every step or several times a
/// second beside the training, and its keys are known.
package struct JSONText {
    package private(set) var bytes: [UInt8] = []
    /// Whether the next member or element follows another.
    private var needsComma = false

    package init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// - Parameter key: plain ASCII; of a member of an object.
    package mutating func object(_ key: StaticString? = nil, _ members: (inout JSONText) -> Void) {
        begin(key)
        nest("{", "}", members)
    }

    /// - Parameter write: puts one element.
    package mutating func array<Element>(
        _ key: StaticString, _ elements: some Sequence<Element>, _ write: (inout JSONText, Element) -> Void
    ) {
        begin(key)
        nest("[", "]") { text in
            for element in elements { write(&text, element) }
        }
    }

    /// An integer of at most 64 bits.
    package mutating func put(_ value: some FixedWidthInteger, _ key: StaticString? = nil) {
        begin(key)
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(UInt64(value.magnitude))
    }

    /// A number of thousandths, with three decimals.
    package mutating func put(thousandths value: Int64, _ key: StaticString) {
        begin(key)
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let (whole, part) = value.magnitude.quotientAndRemainder(dividingBy: 1000)
        append(whole)
        bytes.append(UInt8(ascii: "."))
        append(part, digits: 3)
    }

    /// Reads back to the same bits; a number that JSON cannot hold is a mistake of ours.
    package mutating func put(_ value: Double, _ key: StaticString? = nil) {
        precondition(value.isFinite, "JSON holds no such number")
        begin(key)
        var digits = value.description
        digits.withUTF8 { bytes.append(contentsOf: $0) }
    }

    /// A string, with quotes, backslashes and control characters escaped.
    package mutating func put(_ value: String, _ key: StaticString? = nil) {
        begin(key)
        append(quoted: value)
    }

    /// Leaves out what is not known.
    package mutating func put(known value: Double?, _ key: StaticString) {
        if let value { put(value, key) }
    }

    /// Hands over what was built so far, and goes on behind it.
    package mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    /// Ends the line, with a comma where an element stands on it.
    package mutating func endLine() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\n"))
        needsComma = false
    }

    /// - Parameter digits: at least so many, with zeros before the number.
    private mutating func append(_ value: UInt64, digits: Int = 1) {
        let start = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0 || bytes.count < start + digits
        bytes[start...].reverse()
    }

    private mutating func nest(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ content: (inout JSONText) -> Void) {
        bytes.append(UInt8(ascii: open))
        needsComma = false
        content(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    private mutating func begin(_ key: StaticString?) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
        guard let key else { return }
        bytes.append(UInt8(ascii: "\""))
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func append(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { characters in
            var plain = 0
            for (index, byte) in characters.enumerated() {
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: characters[plain..<index])
                plain = index + 1
                bytes.append(UInt8(ascii: "\\"))
                if byte < 0x20 {
                    let digits = Array("0123456789abcdef".utf8)
                    bytes.append(contentsOf: "u00".utf8)
                    bytes.append(digits[Int(byte >> 4)])
                    bytes.append(digits[Int(byte & 15)])
                } else {
                    bytes.append(byte)
                }
            }
            bytes.append(contentsOf: characters[plain...])
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
