import Coordination
import Kernels

/// What a session has opened of another process's memory, so that each is opened once.
struct OpenedMemory {
    /// As many as a peer has in use at a time: what it has given up stays in memory as long as it is open here. What is
    /// passed over is opened again when it is named again.
    let limit: Int

    /// The one used last stands last.
    private var buffers: [(place: SharedPlace, buffer: FloatBuffer)] = []

    init(limit: Int) { self.limit = limit }

    /// Whether nothing could be opened yet.
    var isEmpty: Bool { buffers.isEmpty }

    /// The floats that lie there, to be read only.
    ///
    /// - Throws: ``SharedMemoryError`` where they cannot be opened.
    mutating func buffer(at place: SharedPlace, count: Int) throws(SharedMemoryError) -> FloatBuffer {
        if let last = buffers.last, last.place == place { return last.buffer }
        let buffer: FloatBuffer
        if let known = buffers.firstIndex(where: { $0.place == place }) {
            buffer = buffers.remove(at: known).buffer
        } else {
            buffer = try FloatBuffer(opening: place, count: count)
        }
        if buffers.count == limit { buffers.removeFirst() }
        buffers.append((place, buffer))
        return buffer
    }
}
