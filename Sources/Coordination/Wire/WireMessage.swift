/// What a message of one kind says, with its number and its fields on the wire.
///
/// The reader trusts nothing: every length is bounded, every enum checked.
protocol WireMessage: Sendable {
    /// Its number in the protocol's table, of no other type in ``Message/bodies``.
    static var kind: UInt8 { get }
    /// The case that it is the body of.
    var message: Message { get }
    /// Writes the fields in the order in which ``init(from:)`` reads them.
    func encode(into writer: inout ByteWriter)
    /// - Throws: ``WireError``: what breaks the format first.
    init(from reader: inout ByteReader) throws(WireError)
}

/// A message that its kind says all of.
protocol BareWireMessage: WireMessage {
    init()
}

extension BareWireMessage {
    func encode(into writer: inout ByteWriter) {}
    init(from reader: inout ByteReader) throws(WireError) { self.init() }
}
