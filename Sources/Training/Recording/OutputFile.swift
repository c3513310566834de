import Glibc

/// Files that a flag names: whether they can be written is to be known before a run folder is made, and what stands in
/// them, perhaps another coordinator's, is to stay until the run folder is locked.
package enum OutputFile {
    /// What stood under a name that can be written, open: the reader of a named pipe takes it for the end when all writers
    /// have closed it.
    package final class Hold {
        private let descriptor: Int32
        fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }
        deinit { if descriptor >= 0 { close(descriptor) } }
    }

    /// Finds out whether a file can be written. Leaves what is there as it is, and makes nothing.
    ///
    /// - Returns: to be kept until the file is opened.
    /// - Throws: ``ConfigurationError`` with the bare reason.
    package static func hold(_ path: String) throws(ConfigurationError) -> Hold {
        let made = Glibc.open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)
        if made >= 0 {
            unlink(path)
            return Hold(made)
        }
        guard errno == EEXIST else { throw ConfigurationError(reason(errno)) }
        let present = Glibc.open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
        // A link that leads nowhere is there too, and can be written through.
        guard present >= 0 || errno == ENOENT else { throw ConfigurationError(reason(errno)) }
        return Hold(present)
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
}
