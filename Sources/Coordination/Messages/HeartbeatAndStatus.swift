// Heartbeats, the words of the end, and what watchers ask.

struct Heartbeat: BareWireMessage {
    static let kind: UInt8 = 11
    var message: Message { .heartbeat }
}

struct Goodbye: BareWireMessage {
    static let kind: UInt8 = 12
    var message: Message { .goodbye }
}

struct Finish: BareWireMessage {
    static let kind: UInt8 = 13
    var message: Message { .finish }
}

struct StatusRequest: BareWireMessage {
    static let kind: UInt8 = 19
    var message: Message { .statusRequest }
}

struct Status: WireMessage {
    static let kind: UInt8 = 20
    var message: Message { .status(snapshot) }
    /// JSON.
    var snapshot: [UInt8]
}

extension Status {
    func encode(into writer: inout ByteWriter) { writer.put(blob: snapshot) }

    init(from reader: inout ByteReader) throws(WireError) {
        snapshot = try reader.takeBlob(limit: Wire.maximumStatus)
    }
}
