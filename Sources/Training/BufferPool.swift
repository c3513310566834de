package import Kernels

/// Float buffers of one size that are used again as soon as nobody else holds them.
///
/// A buffer that the transport still sends from is held by its frame, so it stays out of reach until it has left.
/// Owned by one thread.
package struct BufferPool {
    private let count: Int
    private var buffers: [FloatBuffer] = []

    package init(count: Int) { self.count = count }

    /// A buffer that only the caller and the pool hold; its values are left over from its last use.
    package mutating func take() -> FloatBuffer {
        for index in buffers.indices where isKnownUniquelyReferenced(&buffers[index]) { return buffers[index] }
        let fresh = FloatBuffer(count: count)
        buffers.append(fresh)
        return fresh
    }
}
