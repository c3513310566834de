import CZeroMQ
import Glibc

/// A CURVE key pair: the public key names its owner, the secret one proves it.
package struct CurveKeyPair: Sendable, Equatable {
    package let publicKey: CurveKey
    package let secretKey: CurveKey

    /// A new random pair.
    ///
    /// - Throws: ``ZeroMQError`` where libzmq was built without CURVE.
    package static func generate() throws(ZeroMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: 41)
        var secretText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw ZeroMQError(.curveKey) }
        return try CurveKeyPair(publicKey: key(publicText), secretKey: key(secretText))
    }

    /// The pair of a secret key.
    ///
    /// - Throws: ``ZeroMQError`` where libzmq was built without CURVE.
    package init(secretKey: CurveKey) throws(ZeroMQError) {
        var publicText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&publicText, secretKey.z85) == 0 else { throw ZeroMQError(.curveKey) }
        try self.init(publicKey: Self.key(publicText), secretKey: secretKey)
    }

    private init(publicKey: CurveKey, secretKey: CurveKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    private static func key(_ text: [CChar]) throws(ZeroMQError) -> CurveKey {
        try CurveKey(z85: String(decoding: text.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
}
