import Foundation
package import Glibc
import Synchronization

/// Another process of this executable, which does not outlive this one.
///
/// The child leads its own process group, so that Ctrl-C at the terminal reaches only the parent, which then decides.
/// It reads a pipe (`ParentWatch`) whose write end only the parent holds: however the parent ends, the kernel closes that
/// end and the child sees it. Letting go of the object closes the end too; `waitOnThread` keeps the object until the exit.
package final class ChildProcess: Sendable {
    /// The child's descriptor of the pipe: the first one after the standard three.
    private static let parentDescriptor: Int32 = 3

    /// Held from the making of a pipe until its ends are closed on exec: a child that another thread starts in between
    /// would hold this one's write end.
    private static let pipes = Mutex(())

    package let pid: pid_t
    private let lifeline: Int32
    /// Held while a signal is sent, and while the child is reaped: after that its id may be another process's.
    private let isReaped = Mutex(false)

    /// Starts this executable with `arguments` (without its name) and `environment` on top of this process's own.
    package convenience init(arguments: [String], environment: [String: String] = [:]) throws(ChildProcessError) {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { throw ChildProcessError(executable: "/proc/self/exe", code: errno) }
        // By its name, which `ps` shows; where an upgrade has taken the file away, by what this process still has of it.
        let path = String(decoding: buffer[..<count], as: UTF8.self)
        try self.init(
            executable: access(path, X_OK) == 0 ? path : "/proc/self/exe", arguments: arguments,
            environment: environment)
    }

    init(executable: String, arguments: [String], environment: [String: String]) throws(ChildProcessError) {
        // Where SIGCHLD is ignored, the kernel reaps children itself and their exit status is lost.
        signal(SIGCHLD, SIG_DFL)
        var variables = ProcessInfo.processInfo.environment
        variables.merge(environment) { $1 }
        variables[ParentWatch.variable] = "\(Self.parentDescriptor)"
        var child: pid_t = 0
        var ends: [Int32] = [-1, -1]
        let code = Self.pipes.withLock { _ -> Int32 in
            guard pipe(&ends) == 0 else { return errno }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return Self.spawn(
                executable: executable, arguments: [executable] + arguments,
                environment: variables.map { "\($0.key)=\($0.value)" }, parentPipe: ends[0], child: &child)
        }
        if ends[0] >= 0 { close(ends[0]) }
        guard code == 0 else {
            if ends[1] >= 0 { close(ends[1]) }
            throw ChildProcessError(executable: executable, code: code)
        }
        pid = child
        lifeline = ends[1]
    }

    deinit { close(lifeline) }

    /// Waits for the exit on a thread of its own, and calls `onExit` there. To be called once.
    package func waitOnThread(onExit: @escaping @Sendable (ExitStatus) -> Void) {
        let thread = Thread { [self] in onExit(reap()) }
        thread.name = "child \(pid)"
        thread.start()
    }

    /// Asks the child and its own children to end, and kills them when it has not within `grace` seconds. Returns at once.
    ///
    /// A stopped process is continued, so that it gets the signal.
    package func terminate(grace: Double) {
        send(SIGTERM)
        send(SIGCONT)
        DispatchQueue.global().asyncAfter(deadline: .now() + grace) { [self] in send(SIGKILL) }
    }

    /// Kills the child and its own children, stopped ones too.
    func killNow() { send(SIGKILL) }

    private func send(_ signal: Int32) {
        isReaped.withLock { isReaped in
            if !isReaped { kill(-pid, signal) }
        }
    }

    private func reap() -> ExitStatus {
        var information = siginfo_t()
        // Only waits: the child stays a zombie and its id its own, until the lock is held.
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0 {
            precondition(errno == EINTR, "a child was waited for twice")
        }
        return isReaped.withLock { isReaped in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 { precondition(errno == EINTR, "a child was waited for twice") }
            isReaped = true
            return ExitStatus(waitStatus: status)
        }
    }

    /// Returns 0 or the error number.
    private static func spawn(
        executable: String, arguments: [String], environment: [String], parentPipe: Int32, child: inout pid_t
    ) -> Int32 {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Before standard input is opened: where the parent has none, the pipe may have its number. With equal numbers
        // the action takes close-on-exec away.
        posix_spawn_file_actions_adddup2(&actions, parentPipe, parentDescriptor)
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)

        var argumentPointers = arguments.map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        return posix_spawn(&child, executable, &actions, &attributes, &argumentPointers, &environmentPointers)
    }
}
