package import Foundation

/// Writes all bytes, in as many pieces as the system takes: one where it can.
///
/// - Parameter write: as `write(2)`.
/// - Returns: 0, or the number of the error that ended it.
package func writeWhole(
    _ bytes: some ContiguousBytes, to descriptor: Int32, write: AtomicFile.Write = AtomicFile.systemWrite
) -> Int32 {
    bytes.withUnsafeBytes { bytes in
        var written = 0
        while written < bytes.count {
            let count = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
            if count < 0 && errno != EINTR { return errno }
            if count == 0 { return ENOSPC }
            written += max(count, 0)
        }
        return 0
    }
}
