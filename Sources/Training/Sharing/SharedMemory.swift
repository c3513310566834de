import CSystem
import Coordination
import Glibc
import Kernels

/// Memory that processes of one machine read in place: whoever made it writes, the others map it read-only.
///
/// It has no name in a file system, and goes with the last process that maps it. Its size is final, so that reading it
/// never fails. Opening it takes the rights that reading the other process's memory takes: those of the same user.
final class SharedMemory: @unchecked Sendable {
    // @unchecked: the mapping never changes; who may write, and when, is the protocol's matter.
    let base: UnsafeMutableRawPointer
    let place: SharedPlace
    private let byteCount: Int
    /// Where this process made the memory: others open it by this number, as long as it is open here.
    private let descriptor: Int32?

    /// New memory, zeroed.
    ///
    /// - Throws: ``SharedMemoryError`` where the system gives none.
    init(byteCount: Int) throws(SharedMemoryError) {
        let tag = UInt64.random(in: .min ... .max)
        let descriptor = lockstep_shared_memory(Self.name(tag), byteCount)
        guard descriptor >= 0 else { throw SharedMemoryError("cannot be made", code: errno) }
        let mapping = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let mapping, mapping != MAP_FAILED else {
            let error = SharedMemoryError("cannot be mapped", code: errno)
            close(descriptor)
            throw error
        }
        base = mapping
        place = SharedPlace(process: UInt32(getpid()), descriptor: UInt32(descriptor), tag: tag)
        self.byteCount = byteCount
        self.descriptor = descriptor
    }

    /// Memory that a process of this machine made, to be read.
    ///
    /// - Parameter place: as a peer gave it; it may be anything.
    /// - Throws: ``SharedMemoryError`` where it is not open there, is not shared memory under that tag, is smaller, or may
    ///   not be read.
    init(opening place: SharedPlace, byteCount: Int) throws(SharedMemoryError) {
        let path = "/proc/\(place.process)/fd/\(place.descriptor)"
        // What else it may be is known before it is opened: a pipe or a device would take notice.
        var target = [CChar](repeating: 0, count: 256)
        let length = readlink(path, &target, target.count)
        guard length >= 0 else { throw SharedMemoryError("cannot be found at \(path)", code: errno) }
        let found = String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard found.hasPrefix("/memfd:\(Self.name(place.tag)) ") else {
            throw SharedMemoryError("is not what lies at \(path)")
        }
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw SharedMemoryError("cannot be opened at \(path)", code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, Int(status.st_size) >= byteCount,
            lockstep_is_shared_memory(descriptor) != 0
        else { throw SharedMemoryError("at \(path) is too small, or could become so") }
        let mapping = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let mapping, mapping != MAP_FAILED else {
            throw SharedMemoryError("at \(path) cannot be mapped", code: errno)
        }
        base = mapping
        self.place = place
        self.byteCount = byteCount
        self.descriptor = nil
    }

    deinit {
        munmap(base, byteCount)
        if let descriptor { close(descriptor) }
    }

    private static func name(_ tag: UInt64) -> String { "lockstep-\(String(tag, radix: 16))" }
}

/// Memory that peers make to be tried: who can open it can open all that the other makes.
enum MemoryProbe {
    static let byteCount = 4096
}

/// Why there is no shared memory, in words that follow "the memory of …".
struct SharedMemoryError: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, code: Int32? = nil) {
        description = what + (code.map { ": \(String(cString: strerror($0)))" } ?? "")
    }
}

extension FloatBuffer {
    /// Zeroed floats that others can open.
    ///
    /// - Throws: ``SharedMemoryError`` where the system gives none.
    convenience init(sharing count: Int) throws(SharedMemoryError) {
        let memory = try SharedMemory(byteCount: max(count, 1) * 4)
        self.init(count: count, at: memory.base, of: memory)
    }

    /// Floats of another process, to be read only.
    ///
    /// - Throws: ``SharedMemoryError`` where they cannot be.
    convenience init(opening place: SharedPlace, count: Int) throws(SharedMemoryError) {
        let memory = try SharedMemory(opening: place, byteCount: max(count, 1) * 4)
        self.init(count: count, at: memory.base, of: memory)
    }

    /// Where others find it; nil where it is not in shared memory.
    var place: SharedPlace? { (owner as? SharedMemory)?.place }
}
