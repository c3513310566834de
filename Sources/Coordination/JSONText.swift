/// Builds JSON text, where `JSONEncoder` takes too long: a run's snapshot is made several times a second beside the
/// training, and its keys are known.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    /// Whether the next member or element follows another.
    private var needsComma = false

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// - Parameter key: plain ASCII; of a member of an object.
    mutating func object(_ key: StaticString? = nil, _ members: (inout JSONText) -> Void) {
        begin(key)
        nest("{", "}", members)
    }

    mutating func array<Element>(
        _ key: StaticString, _ elements: some Sequence<Element>, _ write: (inout JSONText, Element) -> Void
    ) {
        begin(key)
        nest("[", "]") { text in
            for element in elements { write(&text, element) }
        }
    }

    mutating func put(_ value: some BinaryInteger, _ key: StaticString? = nil) {
        begin(key)
        bytes.append(contentsOf: value.description.utf8)
    }

    /// Reads back to the same bits; a number that JSON cannot hold is a mistake of ours.
    mutating func put(_ value: Double, _ key: StaticString? = nil) {
        precondition(value.isFinite, "JSON holds no such number")
        begin(key)
        bytes.append(contentsOf: value.description.utf8)
    }

    mutating func put(_ value: String, _ key: StaticString? = nil) {
        begin(key)
        append(quoted: value)
    }

    /// Leaves out what is not known.
    mutating func put(known value: Double?, _ key: StaticString) {
        if let value { put(value, key) }
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
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
