import Foundation
import Glibc
import Synchronization

/// A folder that only this user may enter, gone with the object.
package final class PrivateFolder {
    package let path: String
    private static let existing = Mutex<Set<String>>([])

    /// - Throws: ``ConfigurationError`` where the folder for temporary files cannot be written.
    package init() throws {
        var template = Array("\(NSTemporaryDirectory())/lockstep-XXXXXX".replacing("//", with: "/").utf8CString)
        guard let made = mkdtemp(&template) else {
            throw ConfigurationError(
                "no private folder can be made in \(NSTemporaryDirectory()): set TMPDIR to one that can be written")
        }
        path = String(cString: made)
        Self.existing.withLock { _ = $0.insert(path) }
    }

    /// Has SIGINT, SIGTERM and SIGHUP remove the folders before they end the process. To be called in the main thread
    /// before others start.
    package static func removeOnSignal() {
        _ = SignalWatcher { name, _ in
            removeAll()
            SignalWatcher.end(by: name == "SIGINT" ? SIGINT : name == "SIGHUP" ? SIGHUP : SIGTERM)
        }
    }

    /// Removes those that there are, for a process that ends at once.
    package static func removeAll() {
        for path in existing.withLock({ $0 }) {
            // What a child puts there meanwhile goes with the next attempt; the child goes with this process.
            for _ in 0..<10 where FileManager.default.fileExists(atPath: path) {
                try? FileManager.default.removeItem(atPath: path)
            }
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        Self.existing.withLock { _ = $0.remove(path) }
    }
}
