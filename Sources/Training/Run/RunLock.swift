import Foundation
import Glibc

/// The right to train in a folder. The kernel gives it back when the process ends, however it ends.
package final class RunLock: Sendable {
    private let descriptor: Int32
    /// Which start of the run holds the lock: the file counts them, in the upper half; the lower half is random, for
    /// folders that were copied.
    package let term: UInt64

    init(folder: URL) throws(RunFolderError) {
        let file = folder.appendingPathComponent(".lock").path
        let descriptor = Glibc.open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw .notWritable(path: folder.path, reason: String(cString: strerror(errno)))
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(descriptor)
            if code == EWOULDBLOCK { throw .locked(path: folder.path) }
            throw .notWritable(path: folder.path, reason: "it cannot be locked: \(String(cString: strerror(code)))")
        }
        var text = [UInt8](repeating: 0, count: 16)
        let count = max(0, pread(descriptor, &text, text.count, 0))
        let starts = (UInt32(String(decoding: text[..<count], as: UTF8.self)) ?? 0) &+ 1
        // Over the old text, which a full disk then leaves as it is: emptied first, the count would be lost, and a later
        // start stopped by its own workers as older than the one they served. As long as the old one at least, so that
        // no digit of that is left behind it, whatever happens in between.
        let digits = "\(starts)"
        let bytes = Array((String(repeating: "0", count: max(0, count - digits.count)) + digits).utf8)
        guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count, ftruncate(descriptor, off_t(bytes.count)) == 0
        else {
            let code = errno
            close(descriptor)
            throw .notWritable(path: folder.path, reason: String(cString: strerror(code)))
        }
        self.descriptor = descriptor
        term = UInt64(starts) << 32 | UInt64(UInt32.random(in: 0...UInt32.max))
    }

    deinit {
        // Closing alone would leave the lock to a child that is just being started, until it has closed its copy.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
