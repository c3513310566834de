import CSystem
import Foundation
import Glibc

/// Ends a child when its parent has ended.
///
/// Twice: the kernel kills the child, even a stopped one, when the *thread* that started it ends, which is why only
/// ``SpawnThread`` starts any; and a pipe tells of a parent that ended before the child could ask for that.
package enum ParentWatch {
    /// The environment variable with the number of the descriptor to read. Set by `ChildProcess`.
    package static let variable = "LOCKSTEP_PARENT_FD"

    /// In a child started by `ChildProcess`: exits the process at once, with code 1, when the parent is gone. Elsewhere
    /// it does nothing. To be called first of all, before other threads start.
    package static func start() {
        guard let text = getenv(variable).map({ String(cString: $0) }), let descriptor = Int32(text) else { return }
        // What this process starts is not the parent's child.
        unsetenv(variable)
        lockstep_die_with_parent_thread()
        watch(descriptor) { _exit(1) }
    }

    /// Calls `onEnd` on a thread of its own when no one holds the pipe's write end any more.
    static func watch(_ descriptor: Int32, onEnd: @escaping @Sendable () -> Void) {
        // A variable that was inherited without its pipe names something else, or nothing.
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let thread = Thread {
            var byte: UInt8 = 0
            while true {
                let count = read(descriptor, &byte, 1)
                if count == 0 || (count < 0 && errno != EINTR) { break }
            }
            onEnd()
        }
        thread.name = "parent watch"
        thread.start()
    }
}
