import Glibc
import Synchronization
package import ZeroMQ

/// An allowlist that follows its file: whoever is added may join, whoever is taken off may not, without a restart.
///
/// From any thread.
package final class AllowlistFile: Sendable {
    private struct State {
        var keys: AllowedKeys
        var stamp: Stamp?
    }

    /// What changes when a file is written or replaced.
    private struct Stamp: Equatable {
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    package let path: String
    private let state: Mutex<State>

    /// - Throws: ``ConfigurationError``.
    package init(path: String) throws {
        self.path = path
        let stamp = Stamp(path)
        state = Mutex(State(keys: try AllowedKeys(reading: path), stamp: stamp))
    }

    /// Reads the file again where it has changed. Answers what there is to tell: which names came and went, or why the
    /// new file cannot be used; the former list stands then.
    package func refresh() -> String? {
        state.withLock { state in
            let stamp = Stamp(path)
            guard stamp != state.stamp else { return nil }
            state.stamp = stamp
            do {
                let keys = try AllowedKeys(reading: path)
                let added = keys.names.filter { state.keys.names[$0.key] == nil }
                let removed = state.keys.names.filter { keys.names[$0.key] == nil }
                state.keys = keys
                guard !added.isEmpty || !removed.isEmpty else { return nil }
                return "the allowlist \(path) has changed: "
                    + [("allowed", added), ("no longer allowed", removed)].filter { !$1.isEmpty }.map { word, keys in
                        "\(word): " + keys.map { $1.isEmpty ? $0.z85 : $1 }.sorted().joined(separator: ", ")
                    }.joined(separator: "; ")
            } catch {
                return "the allowlist as it was before stays in force: \(error)"
            }
        }
    }

    package func allows(_ key: CurveKey) -> Bool { state.withLock { $0.keys.names[key] != nil } }
}
