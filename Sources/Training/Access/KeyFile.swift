import Checkpoints
package import Glibc
package import ZeroMQ

/// A file with one CURVE key: a line of Z85; lines that are empty or begin with a hash are comments (no key begins so).
package enum KeyFile {
    /// Far above what a key with its comments takes.
    private static let maximumBytes = 4096
    /// More than ten thousand workers' lines.
    static let maximumListBytes = 1 << 20

    /// Reads a secret key, which others must not be able to read.
    ///
    /// A file of root's may be readable by one group: so Kubernetes and systemd hand secrets to a service.
    ///
    /// - Throws: ``ConfigurationError`` that never repeats what the file holds.
    package static func readSecret(_ path: String) throws -> CurveKeyPair {
        let text = try read(path, maximumBytes: maximumBytes) { status in
            let isHandedOver = status.st_uid == 0 && geteuid() != 0
            let forbidden: mode_t = isHandedOver ? 0o037 : 0o077
            guard status.st_mode & forbidden == 0 else {
                throw ConfigurationError(
                    "\(path): this secret key can be read by others (mode \(octal(status.st_mode & 0o777))): run chmod 600 "
                        + "on it, and make new keys if anyone may have read it")
            }
        }
        return try CurveKeyPair(secretKey: key(text, path))
    }

    /// - Throws: ``ConfigurationError``.
    package static func readPublic(_ path: String) throws -> CurveKey {
        try key(read(path, maximumBytes: maximumBytes), path)
    }

    /// Writes a file that is whole or not there. Not by ``AtomicFile``: its temporary file can be read by others for a
    /// moment.
    ///
    /// - Throws: ``ConfigurationError``.
    package static func write(_ text: String, to path: String, mode: mode_t) throws {
        let temporary = "\(path).\(getpid()).partial"
        func fail(_ code: Int32 = errno) -> ConfigurationError {
            let error = ConfigurationError("\(path): cannot be written: \(String(cString: strerror(code)))")
            unlink(temporary)
            return error
        }
        let descriptor = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw fail() }
        defer { close(descriptor) }
        // The mode that was asked for, whatever the umask leaves of it.
        guard fchmod(descriptor, mode) == 0 else { throw fail() }
        let code = writeWhole(Array(text.utf8), to: descriptor)
        guard code == 0 else { throw fail(code) }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw fail() }
    }

    /// - Parameter check: looks at the open file's status before it is read.
    static func read(
        _ path: String, maximumBytes: Int, check: (stat) throws -> Void = { _ in }
    ) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw ConfigurationError(
                "\(path): \(String(cString: strerror(errno))); make keys with lockstep keys, or name their folder with "
                    + "--keys")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ConfigurationError("\(path): this is not a file")
        }
        try check(status)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw ConfigurationError("\(path): cannot be read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= maximumBytes else {
                throw ConfigurationError("\(path): has more than \(maximumBytes) bytes, and so is no file of keys")
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The lines that say something, with their numbers from 1.
    static func lines(_ text: String) -> [(number: Int, words: [Substring])] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
            let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
            guard let first = words.first, !first.hasPrefix("#") else { return nil }
            return (index + 1, words)
        }
    }

    private static func key(_ text: String, _ path: String) throws -> CurveKey {
        let lines = lines(text)
        guard lines.count == 1, let key = try? CurveKey(z85: String(lines[0].words[0])) else {
            throw ConfigurationError("\(path): this is not one key of 40 characters; make keys with lockstep keys")
        }
        return key
    }

    private static func octal(_ mode: mode_t) -> String { String(mode, radix: 8) }
}
