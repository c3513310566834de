import Checkpoints

/// A safetensors file with the seal that its bytes ask for, where it has a place for one: for tests that damage files.
package func sealed(_ file: [UInt8]) -> [UInt8] {
    guard let marker = file.firstRange(of: Array("\"integrity_digest\":\"".utf8)),
        file.count - marker.upperBound > 16
    else { return file }
    let seal = marker.upperBound..<marker.upperBound + 16
    var bytes = file
    bytes.replaceSubrange(seal, with: repeatElement(UInt8(ascii: "0"), count: 16))
    var digest = IntegrityDigest()
    bytes.withUnsafeBytes { digest.update($0) }
    bytes.replaceSubrange(seal, with: digest.finish().hexadecimal.utf8)
    return bytes
}
