import Foundation

/// The bytes of a text: a file mapped into memory, or a text that the program made itself.
///
/// The mapping is read by the encoder and by whoever fingerprints the text; the file must stay as it is meanwhile.
package final class TextSource: @unchecked Sendable {
    // @unchecked: the bytes are never written after init.

    /// More than any text that a character model is trained on, and little enough to be counted in any unit.
    package static let largestFile = 64 << 30

    /// What messages call the text: the path, or what the text is for.
    package let name: String
    /// nil for a text that is no file.
    package let path: String?

    private let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool
    private let stamp: FileStamp?

    /// What tells that a file is still the one that was opened.
    private struct FileStamp: Equatable {
        let size: Int
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            size = Int(status.st_size)
            #if canImport(Darwin)
                seconds = status.st_mtimespec.tv_sec
                nanoseconds = status.st_mtimespec.tv_nsec
            #else
                seconds = status.st_mtim.tv_sec
                nanoseconds = status.st_mtim.tv_nsec
            #endif
        }
    }

    /// Maps a file. Nothing of it is read yet.
    ///
    /// - Throws: ``CorpusError`` for a path that is missing, a folder, not a regular file, unreadable, empty or larger
    ///   than `limit` bytes.
    package init(path: String, limit: Int = TextSource.largestFile) throws(CorpusError) {
        // Without O_NONBLOCK the opening of a pipe would wait for its writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            throw code == ENOENT
                ? .missing(path: path) : .unreadable(path: path, reason: String(cString: strerror(code)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        let kind = status.st_mode & S_IFMT
        guard kind != S_IFDIR else { throw .folder(path: path) }
        guard kind == S_IFREG else { throw .notRegular(path: path) }
        let size = Int(status.st_size)
        guard size > 0 else { throw .empty(name: path) }
        guard size <= limit else { throw .tooLarge(name: path, bytes: size, limit: limit) }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw .unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        madvise(base, size, Int32(MADV_SEQUENTIAL))
        name = path
        self.path = path
        bytes = UnsafeRawBufferPointer(start: base, count: size)
        isMapped = true
        stamp = FileStamp(status)
    }

    /// A text that is no file; `name` is what messages call it.
    ///
    /// - Throws: ``CorpusError/empty(name:)``.
    package init(bytes text: some Collection<UInt8>, name: String) throws(CorpusError) {
        guard !text.isEmpty else { throw .empty(name: name) }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.count, alignment: 1)
        copy.copyBytes(from: text)
        self.name = name
        path = nil
        bytes = UnsafeRawBufferPointer(copy)
        isMapped = false
        stamp = nil
    }

    /// - Throws: ``CorpusError/empty(name:)``.
    package convenience init(text: String, name: String = "the text") throws(CorpusError) {
        try self.init(bytes: text.utf8, name: name)
    }

    deinit {
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else {
            bytes.deallocate()
        }
    }

    /// Bytes, not characters.
    package var byteCount: Int { bytes.count }

    /// The text's bytes as they stand in the file; they must not be used after `body` has returned.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(bytes)
    }

    /// Whether the file at the path is still as it was when it was opened; always true of a text that is no file.
    var isUnchanged: Bool {
        guard let path, let stamp else { return true }
        var status = stat()
        return stat(path, &status) == 0 && FileStamp(status) == stamp
    }
}
