import Foundation
import Synchronization
import Testing

@testable import Training
@testable import ZeroMQ

@Suite("Files of keys") final class KeyFilesTests {
    private let folder = NSTemporaryDirectory() + "keys-\(UUID().uuidString)"

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("A cluster's keys are made so that only their owner can read the secret ones")
    func modes() throws {
        let cluster = ClusterKeys(folder)
        try cluster.makeCoordinator()
        try cluster.makeWorker("alpha")
        for keys in [cluster.coordinator, cluster.folder("alpha")] {
            #expect(try mode(keys.secret) == 0o600)
            #expect(try mode(keys.path) == 0o700)
            #expect(try KeyFile.readPublic(keys.publicKey) == keys.readPair().publicKey)
        }
        #expect(cluster.workers == ["alpha"])
        #expect(
            try KeyFile.readPublic(cluster.folder("alpha").server) == cluster.coordinator.readPair().publicKey)
    }

    @Test("A secret key that others can read is refused, and not repeated", arguments: [0o644, 0o640, 0o604, 0o601])
    func readable(_ mode: Int) throws {
        let cluster = ClusterKeys(folder)
        try cluster.makeCoordinator()
        let secret = try String(contentsOfFile: cluster.coordinator.secret, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: cluster.coordinator.secret)
        let error = #expect(throws: ConfigurationError.self) { try cluster.coordinator.readPair() }
        #expect(error?.description.contains("chmod 600") == true)
        #expect(!secret.split(separator: "\n").contains { error!.description.contains($0) })
    }

    @Test("The allowlist has the workers that are there, by name")
    func allowlist() throws {
        let cluster = ClusterKeys(folder)
        try cluster.makeCoordinator()
        #expect(try AllowedKeys(reading: cluster.coordinator.allow).names.isEmpty)
        for name in ["alpha", "beta"] { try cluster.makeWorker(name) }
        let beta = try cluster.folder("beta").readPair().publicKey
        #expect(try AllowedKeys(reading: cluster.coordinator.allow).names.values.sorted() == ["alpha", "beta"])
        try cluster.remove("alpha")
        #expect(try AllowedKeys(reading: cluster.coordinator.allow).names == [beta: "beta"])
    }

    @Test("A new key of the coordinator reaches the workers' folders, and their own keys stay")
    func newCoordinator() throws {
        let cluster = ClusterKeys(folder)
        try cluster.makeCoordinator()
        try cluster.makeWorker("alpha")
        let (old, alpha) = try (cluster.coordinator.readPair(), cluster.folder("alpha").readPair())
        try cluster.makeCoordinator()
        let new = try cluster.coordinator.readPair()
        #expect(new != old)
        #expect(try KeyFile.readPublic(cluster.folder("alpha").server) == new.publicKey)
        #expect(try cluster.folder("alpha").readPair() == alpha)
        #expect(try AllowedKeys(reading: cluster.coordinator.allow).names == [alpha.publicKey: "alpha"])
    }

    @Test("A name that is no folder of its own is refused", arguments: ["", "..", "a/b", "coordinator", "a b", ".x"])
    func names(_ name: String) {
        #expect(throws: UsageError.self) { try ClusterKeys.checkName(name) }
    }

    @Test("A changed allowlist is in force at once; one that makes no sense is not")
    func refresh() throws {
        let cluster = ClusterKeys(folder)
        try cluster.makeCoordinator()
        try cluster.makeWorker("alpha")
        let alpha = try cluster.folder("alpha").readPair().publicKey
        let file = try AllowlistFile(path: cluster.coordinator.allow)
        #expect(file.allows(alpha))
        #expect(file.refresh() == nil)
        try cluster.makeWorker("beta")
        let beta = try cluster.folder("beta").readPair().publicKey
        #expect(!file.allows(beta))
        #expect(file.refresh()?.hasSuffix("has changed: allowed: beta") == true)
        #expect(file.allows(alpha) && file.allows(beta))
        try Data("# a key\nnonsense\n".utf8).write(to: URL(fileURLWithPath: file.path))
        #expect(file.refresh()?.contains("line 2") == true)
        #expect(file.allows(alpha) && file.allows(beta))
        try cluster.remove("alpha")
        #expect(file.refresh()?.hasSuffix("has changed: no longer allowed: alpha") == true)
        #expect(!file.allows(alpha) && file.allows(beta))
    }

    @Test("Each change of the allowlist is told, however soon after another like it")
    func news() throws {
        let cluster = ClusterKeys(folder)
        try cluster.makeCoordinator()
        let allow = cluster.coordinator.allow
        let listener = try Listener(
            address: "tcp://127.0.0.1:0", keys: Admission.Keys(folder: cluster.coordinator, allow: allow))
        let told = Mutex<[String]>([])
        listener.admission.report { text in told.withLock { $0.append(text) } }
        let line = "\(try CurveKeyPair.generate().publicKey.z85) alpha\n"
        for (count, text) in [line, "", line].enumerated() {
            try KeyFile.write(text, to: allow, mode: 0o644)
            for _ in 0..<20_000 where told.withLock({ $0.count == count }) { usleep(1000) }
        }
        let added = "the allowlist \(allow) has changed: allowed: alpha"
        let removed = "the allowlist \(allow) has changed: no longer allowed: alpha"
        #expect(told.withLock { $0 } == [added, removed, added])
    }

    @Test(
        "An allowlist that is malformed names the line",
        arguments: ["x", "HelloWorldHelloWorldHelloWorldHelloWorld two names", "\u{0}"])
    func malformed(_ line: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = folder + "/allow"
        try Data("HelloWorldHelloWorldHelloWorldHelloWorld good\n\n\(line)\n".utf8).write(
            to: URL(fileURLWithPath: path))
        let error = #expect(throws: ConfigurationError.self) { try AllowedKeys(reading: path) }
        #expect(error?.description.contains("line 3") == true)
    }
}
