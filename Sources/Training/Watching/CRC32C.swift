/// The cyclic redundancy check of the Castagnoli polynomial, as TFRecord files hold it.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        // 0x1EDC6F41, bits reversed.
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }

    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }

    /// Rotated and shifted, so that the checksum of data that holds checksums is a sound one.
    static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let value = checksum(bytes)
        return (value >> 15 | value << 17) &+ 0xA282_EAD8
    }
}
