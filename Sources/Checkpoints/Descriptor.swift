import Foundation

/// An open file or folder of the operating system, closed when it goes out of use.
final class Descriptor: Sendable {
    let number: Int32
    let path: String

    private init(number: Int32, path: String) {
        self.number = number
        self.path = path
    }

    deinit { close(number) }

    /// Opens a regular file to read it; anything else, such as a pipe that could block for ever, is refused.
    static func reading(_ path: String) throws(CheckpointError) -> (file: Descriptor, size: Int) {
        let number = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard number >= 0 else {
            throw CheckpointError(.unreadable, path: path, "cannot be opened: \(systemMessage(errno))")
        }
        let file = Descriptor(number: number, path: path)
        var status = stat()
        guard fstat(number, &status) == 0 else {
            throw CheckpointError(.unreadable, path: path, "cannot be read: \(systemMessage(errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CheckpointError(.unreadable, path: path, "is not a file")
        }
        return (file, Int(status.st_size))
    }

    /// Makes a new file to write; one of the same name is an error.
    static func creating(_ path: String) throws(CheckpointError) -> Descriptor {
        let number = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard number >= 0 else { throw writeError(errno, path: path) }
        return Descriptor(number: number, path: path)
    }

    /// Fills `target` from the bytes that begin at `offset`.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
        var done = 0
        while done < target.count {
            let count = pread(number, target.baseAddress! + done, target.count - done, off_t(offset + done))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw CheckpointError(.unreadable, path: path, "cannot be read: \(Self.systemMessage(errno))")
            }
            guard count > 0 else {
                throw CheckpointError(.damaged, path: path, "became shorter while it was read")
            }
            done += count
        }
    }

    /// Brings what was written to the disk itself.
    func synchronise() throws(CheckpointError) {
        while fsync(number) != 0 {
            // Some file systems cannot synchronise a folder, and say so.
            if errno == EINVAL { return }
            if errno != EINTR { throw Self.writeError(errno, path: path) }
        }
    }

    /// Brings a folder's names to the disk, so that a rename survives a loss of power.
    static func synchroniseFolder(_ path: String) throws(CheckpointError) {
        let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw writeError(errno, path: path) }
        try Descriptor(number: number, path: path).synchronise()
    }

    static func writeError(_ number: Int32, path: String) -> CheckpointError {
        switch number {
        case ENOSPC, EDQUOT:
            CheckpointError(
                .diskFull, path: path, "cannot be written: \(systemMessage(number)); free some space")
        case EFBIG:
            CheckpointError(
                .fileTooLarge, path: path, "cannot be written: \(systemMessage(number)); raise the limit on file sizes")
        default: CheckpointError(.unwritable, path: path, "cannot be written: \(systemMessage(number))")
        }
    }

    static func systemMessage(_ number: Int32) -> String { String(cString: strerror(number)) }
}
