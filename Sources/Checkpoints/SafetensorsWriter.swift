import Foundation
import Kernels

/// Writes tensors of F32 from where they lie, without a copy of the whole, and seals the file with a digest of all its
/// bytes: every bit of the length, the header and the data that changes afterwards is found.
struct SafetensorsWriter {
    /// A tensor of floats within a buffer that nobody writes while the file is written.
    struct Tensor {
        let name: String
        let shape: [Int]
        let buffer: FloatBuffer
        let range: Range<Int>

        var bytes: UnsafeRawBufferPointer { buffer.bytes(range) }
    }

    /// The metadata that holds the digest: 16 hex digits, which count as zeros where the digest is taken.
    static let sealKey = "integrity_digest"
    private static let blank = String(repeating: "0", count: 16)

    static func write(
        _ tensors: [Tensor], metadata: [String: String], to url: URL,
        write: @escaping AtomicFile.Write = AtomicFile.systemWrite
    ) throws(CheckpointError) {
        var metadata = metadata
        metadata[sealKey] = blank
        var offset = 0
        let entries = tensors.map { tensor in
            defer { offset += tensor.range.count * 4 }
            return SafetensorsHeader.Tensor(
                name: tensor.name, type: .f32, shape: tensor.shape, range: offset..<offset + tensor.range.count * 4)
        }
        var header = SafetensorsHeader(tensors: entries, metadata: metadata).serialised()
        guard header.count - 8 <= SafetensorsHeader.largestLength else {
            throw CheckpointError(.unwritable, path: url.path, "the metadata is too long for the format")
        }
        var digest = IntegrityDigest()
        header.withUnsafeBytes { digest.update($0) }
        for tensor in tensors { digest.update(tensor.bytes) }
        header.replaceSubrange(sealRange(header)!, with: Array(digest.finish().hexadecimal.utf8))
        try AtomicFile.write(to: url, write: write) { (sink) throws(CheckpointError) in
            let bytes = header.withUnsafeBytes { bytes -> Result<Void, CheckpointError> in
                do throws(CheckpointError) { return .success(try sink(bytes)) } catch { return .failure(error) }
            }
            try bytes.get()
            for tensor in tensors { try sink(tensor.bytes) }
        }
    }

    /// Holds a file against its seal.
    ///
    /// - Returns: false where the file has no seal: another program wrote it.
    /// - Throws: ``CheckpointError``: `damaged` where the bytes changed after they were written.
    static func verify(_ file: SafetensorsFile) throws(CheckpointError) -> Bool {
        guard let seal = file.header.metadata[sealKey] else { return false }
        let header = try file.headerBytes()
        guard let range = sealRange(header), seal.utf8.elementsEqual(header[range]) else {
            throw damaged(file)
        }
        var digest = IntegrityDigest()
        var position = 0
        try file.forEachPiece { piece in
            if position < range.upperBound && position + piece.count > range.lowerBound {
                // The first piece, or the two that the seal lies across.
                var copy = Array(piece)
                for index in range.clamped(to: position..<position + piece.count) {
                    copy[index - position] = UInt8(ascii: "0")
                }
                copy.withUnsafeBytes { digest.update($0) }
            } else {
                digest.update(piece)
            }
            position += piece.count
        }
        guard digest.finish().hexadecimal == seal else { throw damaged(file) }
        return true
    }

    private static func damaged(_ file: SafetensorsFile) -> CheckpointError {
        CheckpointError(
            .damaged, path: file.path, "is damaged: its bytes are not those that were written; take another checkpoint")
    }

    /// Where the 16 digits stand. Within a JSON string a quotation mark would be escaped, so the key cannot be found in
    /// the value of another.
    private static func sealRange(_ header: [UInt8]) -> Range<Int>? {
        let marker = Array("\"\(sealKey)\":\"".utf8)
        var start = 8
        while start + marker.count + 16 < header.count {
            if header[start] == marker[0], header[start..<start + marker.count].elementsEqual(marker) {
                return start + marker.count..<start + marker.count + 16
            }
            start += 1
        }
        return nil
    }
}
