import CZeroMQ
import Glibc

/// A CURVE key, public or secret: 32 bytes, written as 40 characters of Z85.
package struct CurveKey: Sendable, Hashable {
    /// 32 bytes.
    package let bytes: [UInt8]

    /// Reads Z85.
    ///
    /// - Throws: ``ZeroMQError`` for text that is no key; the text is not repeated, as it may be secret.
    package init(z85 text: String) throws(ZeroMQError) {
        var bytes = [UInt8](repeating: 0, count: 32)
        // Counted first: the decoder writes as many bytes as the text asks for.
        guard text.utf8.count == 40, !text.utf8.contains(0), zmq_z85_decode(&bytes, text) != nil else {
            throw ZeroMQError(
                .curveKey, code: EINVAL, reason: "it is not 40 characters of Z85; make keys with: lockstep keys")
        }
        self.bytes = bytes
    }

    /// From 32 bytes as they stand in a ZAP request.
    init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// 40 characters.
    package var z85: String {
        var text = [CChar](repeating: 0, count: 41)
        zmq_z85_encode(&text, bytes, bytes.count)
        return String(decoding: text.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
