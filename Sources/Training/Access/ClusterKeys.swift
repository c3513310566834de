import Foundation
import ZeroMQ

/// The keys of a cluster, as `lockstep keys` keeps them: a ``KeyFolder`` for the coordinator and one for each worker key.
package struct ClusterKeys {
    package static let coordinatorName = "coordinator"

    private let path: String

    package init(_ path: String) { self.path = path }

    package var coordinator: KeyFolder { folder(Self.coordinatorName) }

    /// The folder of one key, whether it is there or not.
    package func folder(_ name: String) -> KeyFolder { KeyFolder(path + "/" + name) }

    /// Names of the worker keys that are here.
    package var workers: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
            .filter { $0 != Self.coordinatorName && folder($0).exists }.sorted()
    }

    /// - Throws: ``UsageError`` for what cannot be the name of a folder and a word in the allowlist.
    package static func checkName(_ name: String) throws(UsageError) {
        let isPlain = name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F].contains(byte)
        }
        guard isPlain, !name.isEmpty, name.utf8.count <= 64, !name.hasPrefix("."), name != coordinatorName else {
            throw UsageError(
                "\(name) cannot name a worker's key: use letters, digits, dots, dashes and underscores, and another "
                    + "name than coordinator")
        }
    }

    /// Makes the coordinator's keys, and an allowlist that is empty yet. Workers that are here learn the new key.
    package func makeCoordinator() throws {
        let pair = try coordinator.makePair(owner: "the coordinator")
        if !FileManager.default.fileExists(atPath: coordinator.allow) { try writeAllowlist() }
        for name in workers { try folder(name).writeServer(pair.publicKey) }
    }

    /// Makes a worker's keys and allows them.
    package func makeWorker(_ name: String) throws {
        try Self.checkName(name)
        let server = try coordinator.readPair().publicKey
        _ = try folder(name).makePair(owner: name, server: server)
        try writeAllowlist()
    }

    /// - Throws: ``ConfigurationError`` where there is no worker's key of this name.
    package func checkExists(_ name: String) throws {
        try Self.checkName(name)
        guard folder(name).exists else { throw ConfigurationError("\(path): there is no key of \(name) here") }
    }

    /// Deletes a worker's keys and allows them no more.
    package func remove(_ name: String) throws {
        try checkExists(name)
        do { try FileManager.default.removeItem(atPath: folder(name).path) } catch {
            throw ConfigurationError("\(folder(name).path): cannot be deleted: \(error.localizedDescription)")
        }
        try writeAllowlist()
    }

    private func writeAllowlist() throws {
        var text = "# Public keys of the workers that may join, and their names. Read again whenever it changes.\n"
        for name in workers { try text += "\(folder(name).readPair().publicKey.z85) \(name)\n" }
        try KeyFile.write(text, to: coordinator.allow, mode: 0o644)
    }
}
