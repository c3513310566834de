/// The control frame: little-endian, versioned, every length bounded, every enum checked.
package enum Wire {
    /// One more too where the arithmetic changes: workers of two kinds would give different bits.
    package static let version: UInt8 = 8
    static let mark: [UInt8] = [0x4C, 0x53]

    /// Bytes of a control frame, in either direction: the bounds below leave room for any message.
    package static let maximumControlBytes = 1 << 20
    /// Bytes of UTF-8 in a text field.
    package static let maximumText = 256
    /// Bytes of JSON.
    package static let maximumConfiguration = 1 << 18
    /// Bytes of UTF-8 in a plan of faults.
    package static let maximumFaults = 1 << 12
    /// Bytes of JSON.
    package static let maximumStatus = 1 << 19
    /// Shards of a run, and segments of a held-out text.
    package static let maximumShards = 4096
    /// Chunks of a gradient.
    package static let maximumChunks = 1 << 16
    /// Steps whose records a worker keeps.
    package static let maximumHistory = 512
    /// Steps whose carry a worker offers.
    static let maximumCarrySteps = 4

    /// The control frame. Texts are cut to their bound; the others are the caller's to keep, and ``decode(_:)`` refuses what
    /// breaks them.
    package static func encode(_ message: Message, _ envelope: Envelope) -> [UInt8] {
        let body = message.body
        var writer = ByteWriter()
        writer.bytes = mark + [version, type(of: body).kind]
        envelope.encode(into: &writer)
        body.encode(into: &writer)
        return writer.bytes
    }

    /// Reads a control frame that anyone may have sent.
    ///
    /// - Throws: ``WireError``: `notLockstep`, then `otherVersion`, whatever follows them; else what breaks the format
    ///   first.
    package static func decode(_ bytes: [UInt8]) throws(WireError) -> (Message, Envelope) {
        guard bytes.count >= 4, bytes[0] == mark[0], bytes[1] == mark[1] else { throw .notLockstep }
        guard bytes[2] == version else { throw .otherVersion(bytes[2]) }
        guard bytes.count <= maximumControlBytes else { throw .outOfBounds("length") }
        var reader = ByteReader(bytes: bytes, position: 4)
        let envelope = try Envelope(from: &reader)
        guard let body = bodies[bytes[3]] else { throw .unknownKind(bytes[3]) }
        let message = try body.init(from: &reader).message
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        return (message, envelope)
    }

    /// By their kinds.
    private static let bodies = Dictionary(uniqueKeysWithValues: Message.bodies.map { ($0.kind, $0) })
}
