import Glibc
import ZeroMQ

/// How a worker gets to its coordinator: the address, and the keys where there are any.
package struct WorkerAccess: Sendable {
    /// The keys of a worker: its own pair, and the coordinator's public key.
    package struct Keys: Sendable {
        package var folder: KeyFolder
        /// The file of the coordinator's public key.
        package var server: String

        /// - Parameter server: nil for the one in the folder, which in the coordinator's own is its public key.
        package init(folder: KeyFolder, server: String?) {
            self.folder = folder
            let isWorkers = access(folder.server, F_OK) == 0 || access(folder.allow, F_OK) != 0
            self.server = server ?? (isWorkers ? folder.server : folder.publicKey)
        }

        func read() throws -> (pair: CurveKeyPair, server: CurveKey) {
            (try folder.readPair(), try KeyFile.readPublic(server))
        }
    }

    package let endpoint: String
    package let keys: Keys?
    let address: CoordinatorAddress

    /// - Throws: ``ZeroMQError`` for what is no address to connect to; ``ConfigurationError`` for keys that cannot be used.
    package init(endpoint: String, keys: Keys? = nil) throws {
        self.endpoint = endpoint
        self.keys = keys
        let parsed = try Endpoint(endpoint)
        try parsed.checkIsConnectable()
        address = CoordinatorAddress(endpoint: parsed)
        _ = try keys?.read()
    }
}
