import Glibc

/// A child process could not be started.
package struct ChildProcessError: Error, Equatable, CustomStringConvertible {
    package var executable: String
    /// The `errno` of the system call that failed.
    package var code: Int32

    package var description: String {
        "\(executable): cannot start a child process: \(String(cString: strerror(code)))"
    }
}
