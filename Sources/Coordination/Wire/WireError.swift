/// Why bytes are no message of ours.
package enum WireError: Error, Equatable, CustomStringConvertible {
    case notLockstep
    case otherVersion(UInt8)
    case unknownKind(UInt8)
    case truncated
    case trailingBytes(Int)
    case outOfBounds(String)
    case invalidText

    package var description: String {
        switch self {
        case .notLockstep: "the message does not begin with Lockstep's mark"
        case .otherVersion(let version):
            "the peer speaks protocol version \(version), this program version \(Wire.version): install one version on all "
                + "hosts (lockstep --version)"
        case .unknownKind(let kind): "unknown message kind \(kind)"
        case .truncated: "the message ends too early"
        case .trailingBytes(let count): "\(count) bytes stand behind the message"
        case .outOfBounds(let field): "the field \(field) is out of bounds"
        case .invalidText: "a text field is not valid UTF-8, or holds control characters"
        }
    }
}
