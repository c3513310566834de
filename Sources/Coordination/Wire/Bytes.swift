/// Appends little-endian fields.
struct ByteWriter {
    var bytes: [UInt8] = []

    mutating func put(_ value: some FixedWidthInteger) {
        var rest = value
        for _ in 0..<MemoryLayout.size(ofValue: value) {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    mutating func put(flag: Bool) { put(UInt8(flag ? 1 : 0)) }

    /// A text longer than the bound is cut at a scalar: it is for people, or was bounded before.
    mutating func put(text: String, limit: Int = Wire.maximumText) {
        var utf8: [UInt8] = []
        for scalar in text.unicodeScalars {
            let encoded = Array(String(scalar).utf8)
            if utf8.count + encoded.count > limit { break }
            utf8 += encoded
        }
        put(UInt16(utf8.count))
        bytes += utf8
    }

    mutating func put(blob: [UInt8]) {
        put(UInt32(blob.count))
        bytes += blob
    }

    mutating func put(list: [UInt32]) {
        put(UInt16(list.count))
        for value in list { put(value) }
    }
}

/// Takes little-endian fields, each within what is left.
struct ByteReader {
    let bytes: [UInt8]
    var position: Int

    var remaining: Int { bytes.count - position }

    mutating func take<Value: FixedWidthInteger & UnsignedInteger>() throws(WireError) -> Value {
        let size = Value.bitWidth / 8
        guard remaining >= size else { throw .truncated }
        var value: Value = 0
        for offset in (0..<size).reversed() { value = value << 8 | Value(bytes[position + offset]) }
        position += size
        return value
    }

    mutating func takeFlag(_ field: String) throws(WireError) -> Bool {
        let value: UInt8 = try take()
        guard value <= 1 else { throw .outOfBounds(field) }
        return value == 1
    }

    mutating func takeCount(limit: Int, _ field: String) throws(WireError) -> Int {
        let count: UInt32 = try take()
        guard Int(count) <= limit else { throw .outOfBounds(field) }
        return Int(count)
    }

    mutating func takeText(limit: Int = Wire.maximumText) throws(WireError) -> String {
        let count: UInt16 = try take()
        guard Int(count) <= limit else { throw .outOfBounds("text length") }
        let raw = try takeBytes(Int(count))
        guard let text = String(validating: raw, as: UTF8.self),
            // Texts stand in logs and on terminals.
            !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { throw .invalidText }
        return text
    }

    mutating func takeBlob(limit: Int) throws(WireError) -> [UInt8] {
        let count: UInt32 = try take()
        guard Int(count) <= limit else { throw .outOfBounds("length") }
        return try takeBytes(Int(count))
    }

    /// Ascending shard indices.
    mutating func takeList() throws(WireError) -> [UInt32] {
        let count: UInt16 = try take()
        guard Int(count) <= Wire.maximumShards else { throw .outOfBounds("list length") }
        var list: [UInt32] = []
        for _ in 0..<count {
            let value: UInt32 = try take()
            guard value < UInt32(Wire.maximumShards), list.last.map({ $0 < value }) ?? true else {
                throw .outOfBounds("shard")
            }
            list.append(value)
        }
        return list
    }

    private mutating func takeBytes(_ count: Int) throws(WireError) -> [UInt8] {
        guard remaining >= count else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }
}
