import CKernels

/// `out = left + right`, element by element, for the first `count`. `out` may be either operand.
package func add(_ left: FloatBuffer, _ right: FloatBuffer, into out: FloatBuffer, count: Int) {
    precondition(count <= left.count && count <= right.count && count <= out.count)
    InstructionSet.table.pointee.add(count, left.base, right.base, out.base)
}

/// The sum of squares of a range in Double, in a fixed order of 16 lanes.
package func sumOfSquares(_ buffer: FloatBuffer, range: Range<Int>) -> Double {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count)
    return InstructionSet.table.pointee.sum_of_squares(range.count, buffer.base + range.lowerBound)
}

/// 64 bits that differ, but for one chance in 2^64, whenever a bit of the buffer or its length differs.
package func digest(_ buffer: FloatBuffer) -> UInt64 {
    UnsafeRawPointer(buffer.base).withMemoryRebound(to: UInt32.self, capacity: max(buffer.count, 1)) {
        InstructionSet.table.pointee.digest(buffer.count, $0)
    }
}
