import Checkpoints
import Foundation
package import ZeroMQ

/// A folder with what one host needs: its secret key and, of a worker, the coordinator's public key; of the coordinator,
/// the allowlist.
package struct KeyFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    package var secret: String { path + "/curve.secret" }
    package var publicKey: String { path + "/curve.public" }
    package var server: String { path + "/server.public" }
    package var allow: String { path + "/allow" }

    package var exists: Bool { FileManager.default.fileExists(atPath: secret) }

    /// - Throws: ``ConfigurationError``.
    package func readPair() throws -> CurveKeyPair { try KeyFile.readSecret(secret) }

    /// Makes the folder (0700) and a new pair of keys in it: the secret one 0600.
    ///
    /// - Parameters:
    ///   - owner: for the comment in the files.
    ///   - server: the coordinator's public key, to be put beside a worker's pair.
    /// - Throws: ``ConfigurationError``; ``ZeroMQError`` where libzmq was built without CURVE.
    package func makePair(owner: String, server: CurveKey? = nil) throws -> CurveKeyPair {
        if let (_, reason) = makeFolder(path, mode: 0o700) {
            throw ConfigurationError("\(path): the folder cannot be made: \(reason); name another for the keys")
        }
        let pair = try CurveKeyPair.generate()
        try KeyFile.write(
            "# Secret key of \(owner). Whoever reads it can pass for \(owner).\n\(pair.secretKey.z85)\n", to: secret,
            mode: 0o600)
        try KeyFile.write("# Public key of \(owner).\n\(pair.publicKey.z85)\n", to: publicKey, mode: 0o644)
        if let server { try writeServer(server) }
        return pair
    }

    /// Puts the coordinator's public key beside a worker's pair.
    ///
    /// - Throws: ``ConfigurationError``.
    func writeServer(_ key: CurveKey) throws {
        try KeyFile.write("# Public key of the coordinator.\n\(key.z85)\n", to: server, mode: 0o644)
    }
}
