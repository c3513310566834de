import CKernels

/// `out = left + right`, element by element, for the first `count`. `out` may be either operand.
package func add(_ left: FloatBuffer, _ right: FloatBuffer, into out: FloatBuffer, count: Int) {
    precondition(count <= left.count && count <= right.count && count <= out.count)
    add(UnsafePointer(left.base), UnsafePointer(right.base), into: out.base, count: count)
}

/// The same of floats that lie anywhere; `count` of each.
package func add(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>, count: Int
) {
    InstructionSet.table.pointee.add(count, left, right, out)
}

/// The sum of squares of a range in Double: 16 lanes, the lanes' sums then in pairs.
package func sumOfSquares(_ buffer: FloatBuffer, range: Range<Int>) -> Double {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count)
    return InstructionSet.table.pointee.sum_of_squares(range.count, buffer.base + range.lowerBound)
}

/// Whether no number of a range is infinite or NaN.
package func isFinite(_ buffer: FloatBuffer, range: Range<Int>) -> Bool {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count)
    return InstructionSet.table.pointee.is_finite(range.count, buffer.base + range.lowerBound) != 0
}

/// The same of floats as they came over a wire, at any alignment.
///
/// - Parameter bytes: a multiple of 4 of them.
package func isFinite(_ bytes: UnsafeRawBufferPointer) -> Bool {
    precondition(bytes.count % 4 == 0)
    guard let base = bytes.baseAddress else { return true }
    guard Int(bitPattern: base) % 4 != 0 else {
        return InstructionSet.table.pointee.is_finite(bytes.count / 4, base.assumingMemoryBound(to: Float.self)) != 0
    }
    let aligned = FloatBuffer(count: bytes.count / 4)
    UnsafeMutableRawPointer(aligned.base).copyMemory(from: base, byteCount: bytes.count)
    return isFinite(aligned, range: 0..<aligned.count)
}

/// 64 bits that differ, but for one chance in 2^64, whenever a bit of the buffer or its length differs; a single
/// changed float always shows.
package func digest(_ buffer: FloatBuffer) -> UInt64 { digest(buffer.bytes) }

/// The same of any bytes: a buffer's digest is that of its bytes.
package func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    guard let base = bytes.baseAddress else { return InstructionSet.table.pointee.digest(0, "") }
    return InstructionSet.table.pointee.digest(bytes.count, base)
}
