import Foundation

/// A run of floats that outlives the calls that use it: parameters, gradients, optimizer state, activations.
///
/// Zeroed, aligned to 64 bytes, and to huge pages where it is large. The owner sees to it that nobody writes while
/// another thread reads: the type hands out pointers and does no locking.
package final class FloatBuffer: @unchecked Sendable {
    // @unchecked: exclusive access is the owner's contract, stated above.
    package let count: Int
    package let base: UnsafeMutablePointer<Float>
    /// Whose memory it is; nil where it is the buffer's own.
    package let owner: AnyObject?

    private static let hugePage = 2 << 20

    /// `count` zeros. Ends the program where there is no memory for them.
    package init(count: Int) {
        precondition(count >= 0)
        self.count = count
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let rounded = (bytes + 63) / 64 * 64
        let alignment = rounded >= Self.hugePage ? Self.hugePage : 64
        var raw: UnsafeMutableRawPointer?
        let status = posix_memalign(&raw, alignment, rounded)
        guard status == 0, let raw else { fatalError("out of memory: \(rounded) bytes for a float buffer") }
        #if os(Linux)
            // Whole pages only: the rest of the last one would be memory that nobody uses.
            let whole = rounded / Self.hugePage * Self.hugePage
            if whole > 0 { madvise(raw, whole, Int32(MADV_HUGEPAGE)) }
        #endif
        memset(raw, 0, rounded)
        base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
        owner = nil
    }

    /// Floats in memory of someone else's, as they lie there.
    ///
    /// - Parameter owner: keeps the memory.
    package init(count: Int, at base: UnsafeMutableRawPointer, of owner: AnyObject) {
        self.count = count
        self.base = base.bindMemory(to: Float.self, capacity: count)
        self.owner = owner
    }

    deinit { if owner == nil { free(base) } }

    /// A copy of the values.
    package convenience init(_ values: some Collection<Float>) {
        self.init(count: values.count)
        let target = UnsafeMutableBufferPointer(start: base, count: count)
        if values.withContiguousStorageIfAvailable({ _ = target.update(from: $0) }) == nil {
            _ = target.update(from: values)
        }
    }

    /// One value; bounds are checked.
    package subscript(index: Int) -> Float {
        get {
            precondition(index >= 0 && index < count)
            return base[index]
        }
        set {
            precondition(index >= 0 && index < count)
            base[index] = newValue
        }
    }

    /// The values as an array: for tests, tables and other small things.
    package var array: [Float] { Array(UnsafeBufferPointer(start: base, count: count)) }

    /// The raw bytes, little-endian on every supported platform.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count * 4) }

    /// The same of a part.
    package func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * 4..<range.upperBound * 4])
    }

    /// A new buffer of the same values.
    package func copy() -> FloatBuffer {
        let other = FloatBuffer(count: count)
        memcpy(other.base, base, count * 4)
        return other
    }

    /// Takes the values of another buffer, which must have the same count.
    package func copy(from other: FloatBuffer) {
        precondition(other.count == count)
        memcpy(base, other.base, count * 4)
    }

    /// Sets all values to 0.
    package func zero() { memset(base, 0, count * 4) }
}
