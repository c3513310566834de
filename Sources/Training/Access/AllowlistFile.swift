import Glibc
import Synchronization
package import ZeroMQ

/// An allowlist that follows its file: whoever is added may join, whoever is taken off may not, without a restart.
///
/// From any thread.
package final class AllowlistFile: Sendable {
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
    /// Never held while a file is read: whoever asks for a key waits for no disk.
    private let keys: Mutex<AllowedKeys>
    /// Of the file that was read last; held while another is.
    private let stamp: Mutex<Stamp?>

    /// - Throws: ``ConfigurationError``.
    package init(path: String) throws {
        self.path = path
        stamp = Mutex(Stamp(path))
        keys = Mutex(try AllowedKeys(reading: path))
    }

    /// Reads the file again where it has changed. Answers what there is to tell: which names came and went, or why the
    /// new file cannot be used; the former list stands then.
    package func refresh() -> String? {
        stamp.withLock { known in
            let stamp = Stamp(path)
            guard stamp != known else { return nil }
            known = stamp
            do {
                let new = try AllowedKeys(reading: path)
                let old = keys.withLock { keys in
                    defer { keys = new }
                    return keys
                }
                let added = new.names.filter { old.names[$0.key] == nil }
                let removed = old.names.filter { new.names[$0.key] == nil }
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

    /// Whether the key is on the list as it was last read. Waits for no disk.
    package func allows(_ key: CurveKey) -> Bool { keys.withLock { $0.names[key] != nil } }
}
