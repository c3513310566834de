package import Kernels

/// Float buffers of one size that are used again as soon as nobody else holds them.
///
/// A buffer that the transport still sends from is held by its frame, so it stays out of reach until it has left.
/// Owned by one thread.
package struct BufferPool {
    private let count: Int
    /// Whether other processes are to read them in place.
    package let isShared: Bool
    private var buffers: [FloatBuffer] = []

    package init(count: Int, isShared: Bool = false) {
        self.count = count
        self.isShared = isShared
    }

    /// A buffer that only the caller and the pool hold; its values are left over from its last use.
    package mutating func take() -> FloatBuffer {
        for index in buffers.indices where isKnownUniquelyReferenced(&buffers[index]) { return buffers[index] }
        let fresh = make()
        buffers.append(fresh)
        return fresh
    }

    /// Never hands out this one again.
    mutating func forget(_ buffer: FloatBuffer) { buffers.removeAll { $0 === buffer } }

    /// Where the system gives no more memory to share, messages carry what lies in ordinary memory.
    private func make() -> FloatBuffer {
        if isShared, let shared = try? FloatBuffer(sharing: count) { return shared }
        return FloatBuffer(count: count)
    }
}
