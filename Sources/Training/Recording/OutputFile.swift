import Glibc

/// Files that a flag names: whether they can be written is to be known before a run folder is made, and what stands in
/// them, perhaps another coordinator's, is to stay until the run folder is locked.
package enum OutputFile {
    /// Why a file cannot be written; nil where it can. Leaves what is there as it is, and makes nothing.
    package static func problem(_ path: String) -> String? {
        let descriptor = Glibc.open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)
        if descriptor >= 0 {
            close(descriptor)
            unlink(path)
            return nil
        }
        // A link that leads nowhere is there too, and can be written through.
        guard errno == EEXIST else { return String(cString: strerror(errno)) }
        if isFolder(path) { return String(cString: strerror(EISDIR)) }
        return access(path, W_OK) == 0 || errno == ENOENT ? nil : String(cString: strerror(errno))
    }

    /// Opens a file to write, and makes it where it is not there. A named pipe that nobody reads is an error, not a wait.
    ///
    /// - Parameter flags: `O_TRUNC` or `O_APPEND`.
    /// - Returns: a descriptor, or -1 and the reason in `errno`.
    static func open(_ path: String, _ flags: Int32) -> Int32 {
        let descriptor = Glibc.open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NONBLOCK | flags, 0o666)
        // From here on writes wait.
        if descriptor >= 0 { _ = fcntl(descriptor, F_SETFL, flags & O_APPEND) }
        return descriptor
    }

    /// Why one could not be opened or written, in words.
    static func reason(_ code: Int32) -> String {
        code == ENXIO ? "it is a named pipe that no process reads" : String(cString: strerror(code))
    }

    /// Whether a file can take this name: nothing has it, or a regular file.
    static func isFree(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
