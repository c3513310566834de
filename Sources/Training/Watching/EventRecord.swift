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
        let data = encoded
        let length = Self.littleEndian(UInt64(data.count))
        return length + Self.littleEndian(CRC32C.masked(length)) + data + Self.littleEndian(CRC32C.masked(data))
    }

    // Field numbers of tensorflow's event.proto, summary.proto, tensor.proto and tensor_shape.proto.
    var encoded: [UInt8] {
        var event = Protobuf()
        event.put(1, time)
        // As proto3 does, a zero is left out.
        if step > 0 { event.put(2, varint: step) }
        switch content {
        case .version: event.put(3, "brain.Event:2")
        case .summary(let values):
            var summary = Protobuf()
            for (tag, value) in values { summary.put(1, Self.encoded(tag, value)) }
            event.put(5, summary)
        case .sessionStart:
            var log = Protobuf()
            log.put(1, varint: 1)
            event.put(7, log)
        }
        return event.bytes
    }

    private static func encoded(_ tag: String, _ value: Value) -> Protobuf {
        var message = Protobuf()
        message.put(1, tag)
        switch value {
        case .scalar(let number): message.put(2, number)
        case .text(let text):
            var dimension = Protobuf()
            dimension.put(1, varint: 1)
            var shape = Protobuf()
            shape.put(2, dimension)
            var tensor = Protobuf()
            // DT_STRING.
            tensor.put(1, varint: 7)
            tensor.put(2, shape)
            tensor.put(8, text)
            message.put(8, tensor)
            var plugin = Protobuf()
            plugin.put(1, "text")
            var metadata = Protobuf()
            metadata.put(1, plugin)
            message.put(9, metadata)
        }
        return message
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}

/// Appends protobuf fields.
struct Protobuf {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ field: Int, varint value: UInt64) {
        key(field, 0)
        put(varint: value)
    }

    mutating func put(_ field: Int, _ value: Double) {
        key(field, 1)
        bytes += withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    }

    mutating func put(_ field: Int, _ value: Float) {
        key(field, 5)
        bytes += withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    }

    mutating func put(_ field: Int, _ value: String) { put(field, Array(value.utf8)) }

    mutating func put(_ field: Int, _ value: Protobuf) { put(field, value.bytes) }

    private mutating func put(_ field: Int, _ value: [UInt8]) {
        key(field, 2)
        put(varint: UInt64(value.count))
        bytes += value
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
