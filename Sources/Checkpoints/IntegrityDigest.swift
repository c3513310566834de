/// 64 bits over a stream of bytes, wherever it is cut: a guard against storage that changes bits, not against people.
///
/// Four lanes take 8 bytes each in turn. Every step is a bijection of its lane and of what it takes, and the end one of
/// each lane, so a change within 8 bytes is always seen; any other goes unseen with a chance of about one in 2^64.
package struct IntegrityDigest {
    private var lanes: (UInt64, UInt64, UInt64, UInt64) = (
        0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89
    )
    private var rest: [UInt8] = []
    private var length: UInt64 = 0
    private static let block = 32

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        length &+= UInt64(bytes.count)
        var bytes = bytes
        if !rest.isEmpty {
            let missing = min(Self.block - rest.count, bytes.count)
            rest += bytes.prefix(missing)
            bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(missing))
            guard rest.count == Self.block else { return }
            rest.withUnsafeBytes { absorb($0) }
            rest.removeAll(keepingCapacity: true)
        }
        let whole = bytes.count / Self.block * Self.block
        absorb(UnsafeRawBufferPointer(rebasing: bytes.prefix(whole)))
        rest += bytes.dropFirst(whole)
    }

    package func finish() -> UInt64 {
        var last = self
        if !rest.isEmpty {
            (rest + Array(repeating: 0, count: Self.block - rest.count)).withUnsafeBytes { last.absorb($0) }
        }
        var result = length
        for lane in [last.lanes.0, last.lanes.1, last.lanes.2, last.lanes.3] {
            result = (result ^ lane) &* 0xff51_afd7_ed55_8ccd
            result ^= result >> 32
        }
        return result
    }

    /// Takes whole blocks.
    private mutating func absorb(_ bytes: UnsafeRawBufferPointer) {
        var (first, second, third, fourth) = lanes
        var offset = 0
        while offset < bytes.count {
            first = Self.mixed(first, bytes, offset)
            second = Self.mixed(second, bytes, offset &+ 8)
            third = Self.mixed(third, bytes, offset &+ 16)
            fourth = Self.mixed(fourth, bytes, offset &+ 24)
            offset &+= Self.block
        }
        lanes = (first, second, third, fourth)
    }

    @inline(__always)
    private static func mixed(_ lane: UInt64, _ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        // Spread the word before it meets the lane: else a flipped high bit could be undone by one of the next word.
        let spread = word &* 0xc2b2_ae3d_27d4_eb4f
        let product = (lane ^ spread ^ (spread >> 32)) &* 0x9e37_79b9_7f4a_7c15
        return product << 29 | product >> 35
    }
}
