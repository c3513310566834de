/// A record of a TensorBoard event file: a `tensorflow.Event` in protobuf, framed as TFRecord does.
///
/// ```
/// length: UInt64   masked CRC-32C of the length: UInt32   data   masked CRC-32C of the data: UInt32
/// ```
struct EventRecord {
    enum Value {
        case scalar(Float)
        /// For the text plugin, which shows it as Markdown.
        case text(String)
    }

    enum Content {
        /// The first record of a file.
        case version
        /// What earlier files hold of this step and later ones is void.
        case sessionStart
        case summary([(tag: String, value: Value)])
    }

    /// Seconds since 1970.
    var time: Double
    var step: UInt64
    var content: Content

    /// The frame's bytes without the data.
    static let overhead = 16

    var framed: [UInt8] {
        var frame = Protobuf()
        frame.bytes = Array(repeating: 0, count: 12)
        encode(into: &frame)
        var bytes = frame.bytes
        let length = Self.littleEndian(UInt64(bytes.count - 12))
        bytes.replaceSubrange(0..<12, with: length + Self.littleEndian(CRC32C.masked(length)))
        bytes += Self.littleEndian(CRC32C.masked(bytes[12...]))
        return bytes
    }

    // Field numbers of tensorflow's event.proto, summary.proto, tensor.proto and tensor_shape.proto.
    func encode(into event: inout Protobuf) {
        event.put(1, time)
        // As proto3 does, a zero is left out.
        if step > 0 { event.put(2, varint: step) }
        switch content {
        case .version: event.put(3, "brain.Event:2")
        case .summary(let values):
            event.put(5) { summary in
                for (tag, value) in values { summary.put(1) { Self.encode(tag, value, into: &$0) } }
            }
        case .sessionStart: event.put(7) { $0.put(1, varint: 1) }
        }
    }

    private static func encode(_ tag: String, _ value: Value, into message: inout Protobuf) {
        message.put(1, tag)
        switch value {
        case .scalar(let number): message.put(2, number)
        case .text(let text):
            message.put(8) { tensor in
                // DT_STRING.
                tensor.put(1, varint: 7)
                tensor.put(2) { shape in shape.put(2) { $0.put(1, varint: 1) } }
                tensor.put(8, text)
            }
            message.put(9) { metadata in metadata.put(1) { $0.put(1, "text") } }
        }
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}

/// Appends protobuf fields.
struct Protobuf {
    var bytes: [UInt8] = []

    mutating func put(_ field: Int, varint value: UInt64) {
        key(field, 0)
        put(varint: value)
    }

    mutating func put(_ field: Int, _ value: Double) {
        key(field, 1)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ field: Int, _ value: Float) {
        key(field, 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ field: Int, _ value: String) {
        key(field, 2)
        put(varint: UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// A nested message. Its length stands before it: one byte is kept free, and more are made where it needs them.
    mutating func put(_ field: Int, _ message: (inout Protobuf) -> Void) {
        key(field, 2)
        bytes.append(0)
        let start = bytes.count
        message(&self)
        let length = bytes.count - start
        if length < 0x80 {
            bytes[start - 1] = UInt8(length)
        } else {
            var prefix = Protobuf()
            prefix.put(varint: UInt64(length))
            bytes.replaceSubrange(start - 1..<start, with: prefix.bytes)
        }
    }

    private mutating func key(_ field: Int, _ type: UInt64) { put(varint: UInt64(field) << 3 | type) }

    private mutating func put(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
