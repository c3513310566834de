package import Foundation

/// Writes a file so that its name shows either what it was before or the whole of the new: a temporary file in the same
/// folder, fsync, rename, fsync of the folder.
package struct AtomicFile {
    /// As `write(2)`. Tests put a full disk in its place.
    package typealias Write = @Sendable (Int32, UnsafeRawPointer, Int) -> Int

    package static let systemWrite: Write = { Foundation.write($0, $1, $2) }
    /// The end of a temporary file's name; one that is left behind by a crash may be deleted.
    static let temporarySuffix = ".partial"

    /// Brings a folder's names to the disk, so that files made in it outlive a loss of power.
    package static func synchroniseFolder(_ url: URL) throws(CheckpointError) {
        try Descriptor.synchroniseFolder(url.path)
    }

    /// - Throws: ``CheckpointError``, as below.
    package static func write(_ bytes: [UInt8], to url: URL) throws(CheckpointError) {
        try write(to: url) { (sink) throws(CheckpointError) in
            try bytes.withUnsafeBufferPointer { (bytes) throws(CheckpointError) in
                try sink(UnsafeRawBufferPointer(bytes))
            }
        }
    }

    /// - Parameters:
    ///   - pieces: called with a sink that takes the bytes of the file in order.
    /// - Throws: ``CheckpointError``; the temporary file is gone then, and a file that stood under the name is as it was.
    static func write(
        to url: URL, write: @escaping Write = systemWrite,
        pieces: ((UnsafeRawBufferPointer) throws(CheckpointError) -> Void) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let temporary = url.path + "." + UInt64.random(in: .min ... .max).hexadecimal + temporarySuffix
        let file = try Descriptor.creating(temporary)
        do throws(CheckpointError) {
            try pieces { (bytes) throws(CheckpointError) in
                let code = writeWhole(bytes, to: file.number, write: write)
                guard code == 0 else { throw Descriptor.writeError(code, path: url.path) }
            }
            try file.synchronise()
            guard rename(temporary, url.path) == 0 else { throw Descriptor.writeError(errno, path: url.path) }
        } catch {
            unlink(temporary)
            throw error
        }
        try Descriptor.synchroniseFolder(url.deletingLastPathComponent().path)
    }
}
