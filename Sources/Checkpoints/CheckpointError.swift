/// Why a checkpoint or model file could not be read or written.
package struct CheckpointError: Error, Equatable, CustomStringConvertible {
    /// What kind of fault it is, for programs.
    package enum Code: Sendable, Equatable {
        /// The file or folder cannot be opened or read.
        case unreadable
        /// The bytes are not a safetensors file.
        case malformed
        /// A sound safetensors file, but its digest says that it changed after it was written.
        case damaged
        /// A sound file that holds something else than was asked for.
        case unsuitable
        /// The file cannot be written: permissions, a read-only file system, a name that is taken.
        case unwritable
        /// No room left: the disk or a quota.
        case diskFull
        /// Above the process's limit on file sizes.
        case fileTooLarge
    }

    package let code: Code
    /// The file or folder.
    package let path: String
    /// What is wrong, and what to do where something can be done.
    package let message: String

    package init(_ code: Code, path: String, _ message: String) {
        self.code = code
        self.path = path
        self.message = message
    }

    package var description: String { "\(path): \(message)" }
}
