package import Foundation
package import Kernels

/// A safetensors file that was opened and whose header is sound. Tensors are read when they are asked for, so that no
/// more memory is taken than is needed.
package struct SafetensorsFile: Sendable {
    package let header: SafetensorsHeader
    private let file: Descriptor
    private let size: Int
    /// Where the data begins in the file.
    private let dataStart: Int

    /// Opens a file and checks its header against the size of the file.
    ///
    /// - Throws: ``CheckpointError``: `unreadable` or `malformed`.
    package init(_ url: URL) throws(CheckpointError) {
        let path = url.path
        (file, size) = try Descriptor.reading(path)
        func malformed(_ message: String) -> CheckpointError {
            CheckpointError(.malformed, path: path, "is not a sound safetensors file: \(message)")
        }
        guard size >= 8 else { throw malformed("it has \(size) bytes, fewer than the 8 of the header's length") }
        let prefix = try Self.bytes(file, 0..<8)
        let declared = prefix.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard declared <= UInt64(SafetensorsHeader.largestLength) else {
            throw malformed("its header would have \(declared) bytes, and the format's limit is 100000000")
        }
        let length = Int(declared)
        guard length <= size - 8 else {
            throw malformed("its header would have \(length) bytes, and \(size - 8) follow: the file was cut short")
        }
        dataStart = 8 + length
        let json = try Self.bytes(file, 8..<dataStart)
        do throws(SafetensorsError) {
            header = try SafetensorsHeader(parsing: json, dataCount: size - dataStart)
        } catch {
            throw malformed(error.description)
        }
    }

    package var path: String { file.path }

    /// The bytes of a tensor, as they lie in the file.
    ///
    /// - Throws: ``CheckpointError``: `unreadable`, or `damaged` where the file has become shorter.
    package func bytes(of tensor: SafetensorsHeader.Tensor) throws(CheckpointError) -> [UInt8] {
        try Self.bytes(file, dataStart + tensor.range.lowerBound..<dataStart + tensor.range.upperBound)
    }

    /// Reads a tensor's numbers to `buffer`, from `offset` on.
    ///
    /// - Throws: ``CheckpointError``: `unsuitable` where the tensor does not hold floating-point numbers. F64 is rounded
    ///   to the nearest, F16 and BF16 are widened.
    package func read(
        _ tensor: SafetensorsHeader.Tensor, into buffer: FloatBuffer, at offset: Int
    ) throws(CheckpointError) {
        let count = tensor.elementCount
        precondition(offset >= 0 && count <= buffer.count - offset)
        if tensor.type == .f32 {
            let target = UnsafeMutableRawBufferPointer(start: buffer.base + offset, count: count * 4)
            return try file.read(into: target, at: dataStart + tensor.range.lowerBound)
        }
        let bytes = try bytes(of: tensor)
        func widen<Bits: FixedWidthInteger>(_ number: (Bits) -> Float) {
            bytes.withUnsafeBytes { bytes in
                for index in 0..<count {
                    let bits = bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self)
                    buffer.base[offset + index] = number(Bits(littleEndian: bits))
                }
            }
        }
        switch tensor.type {
        case .f64: widen { (bits: UInt64) in Float(Double(bitPattern: bits)) }
        case .f16: widen(Self.float(half:))
        case .bf16: widen { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
        default:
            throw CheckpointError(
                .unsuitable, path: path,
                "tensor \(tensor.name.quoted) holds \(tensor.type.rawValue), not floating-point numbers")
        }
    }

    /// The whole file in order, in pieces of 1 MiB.
    func forEachPiece(_ body: (UnsafeRawBufferPointer) -> Void) throws(CheckpointError) {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { piece.deallocate() }
        var offset = 0
        while offset < size {
            let part = UnsafeMutableRawBufferPointer(rebasing: piece.prefix(size - offset))
            try file.read(into: part, at: offset)
            body(UnsafeRawBufferPointer(part))
            offset += part.count
        }
    }

    /// The bytes before the data.
    func headerBytes() throws(CheckpointError) -> [UInt8] { try Self.bytes(file, 0..<dataStart) }

    private static func bytes(_ file: Descriptor, _ range: Range<Int>) throws(CheckpointError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        // A typed error does not pass through the closure's rethrows.
        let result = bytes.withUnsafeMutableBytes { target -> Result<Void, CheckpointError> in
            do throws(CheckpointError) { return .success(try file.read(into: target, at: range.lowerBound)) } catch {
                return .failure(error)
            }
        }
        try result.get()
        return bytes
    }

    /// IEEE binary16, widened by hand: `Float16` is not on every platform.
    private static func float(half: UInt16) -> Float {
        let sign: Float = half & 0x8000 == 0 ? 1 : -1
        let exponent = Int(half >> 10 & 0x1f)
        let fraction = Float(half & 0x3ff)
        switch exponent {
        case 0: return sign * fraction * 0x1p-24
        case 0x1f: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * Float(sign: .plus, exponent: exponent - 25, significand: fraction + 1024)
        }
    }
}
