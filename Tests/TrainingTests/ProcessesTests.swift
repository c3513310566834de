import Foundation
import Glibc
import Synchronization
import Testing

@testable import Training

@Suite("Processes", .timeLimit(.minutes(1)))
final class ProcessesTests: Sendable {
    private let file = FileManager.default.temporaryDirectory.appendingPathComponent("child-\(UUID().uuidString)")

    deinit { unlink(file.path) }

    private func shell(_ script: String, environment: [String: String] = [:]) throws -> ChildProcess {
        try ChildProcess(
            executable: "/bin/sh", arguments: ["-c", script],
            environment: environment.merging(["FILE": file.path]) { $1 })
    }

    private func exit(of child: ChildProcess) async -> Training.ExitStatus {
        await withCheckedContinuation { continuation in child.waitOnThread { continuation.resume(returning: $0) } }
    }

    /// On a thread of its own, which ends. The thread sanitizer does not see what a continuation puts in order, but a lock.
    private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        let result = Mutex<Result<Value, any Error>?>(nil)
        await withCheckedContinuation { ended in
            Thread {
                let value = Result(catching: body)
                result.withLock { $0 = value }
                ended.resume()
            }.start()
        }
        return try result.withLock { $0! }.get()
    }

    private func output() throws -> String { try String(contentsOf: file, encoding: .utf8) }

    /// Waits until the child has written its file.
    private func started() async throws {
        while (try? output())?.hasSuffix("\n") != true { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test("An exit code and a signal are told apart")
    func exitStatus() async throws {
        let failed = await exit(of: try shell("exit 1"))
        #expect(failed.description == "exited with code 1")
        #expect(!failed.isSuccess)
        #expect(await exit(of: try shell("true")).isSuccess)
        #expect(await exit(of: try shell("kill -KILL $$")).description == "was killed by signal 9")
    }

    @Test("A child gets its arguments and the environment on top of its parent's")
    func environment() async throws {
        let child = try shell("echo \"$EXTRA ${PATH:+path}\" > \"$FILE\"", environment: ["EXTRA": "a b=c"])
        #expect(await exit(of: child).isSuccess)
        #expect(try output() == "a b=c path\n")
    }

    @Test("A child has its own process group, no input, no blocked and no ignored signal")
    func isolation() async throws {
        // The mask is the thread's that spawns.
        let child = try await onThread { [self] in
            var signals = sigset_t()
            sigfillset(&signals)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
            signal(SIGPIPE, SIG_IGN)
            return try shell(
                """
                exec > "$FILE"
                cut -d ' ' -f 5 /proc/$$/stat
                readlink /proc/$$/fd/0
                grep -E '^Sig(Blk|Ign)' /proc/self/status
                """)
        }
        #expect(await exit(of: child).isSuccess)
        let lines = try output().split(separator: "\n")
        try #require(lines.count == 4)
        #expect(lines[0] == "\(child.pid)")
        #expect(lines[1] == "/dev/null")
        for line in lines[2...] {
            // Signals 32 and 33 are the C library's own; it has them ignored in what it spawns.
            let signals = try #require(UInt64(line.suffix(16), radix: 16))
            #expect(signals & ~(3 << 31) == 0, "\(line)")
        }
    }

    @Test("A child sees the end of the pipe when its parent lets go of it")
    func lifeline() async throws {
        var child: ChildProcess? = try shell(
            """
            echo ready > "$FILE"
            read line <&"$LOCKSTEP_PARENT_FD"
            echo gone >> "$FILE"
            """)
        // A sibling does not hold the write end open.
        let sibling = try shell("sleep 60")
        let pid = try #require(child?.pid)
        try await started()
        #expect(try output() == "ready\n")
        child = nil
        var status: Int32 = 0
        while waitpid(pid, &status, WNOHANG) == 0 { try await Task.sleep(for: .milliseconds(2)) }
        #expect(try output() == "ready\ngone\n")
        sibling.terminate(grace: 60)
        #expect(await exit(of: sibling) == .killed(signal: SIGTERM))
    }

    @Test("An executable that is not there is an error with its path")
    func missing() {
        let error = #expect(throws: ChildProcessError.self) {
            try ChildProcess(executable: "/no/such/program", arguments: [], environment: [:])
        }
        #expect(error?.description == "/no/such/program: cannot start a child process: No such file or directory")
    }

    @Test("A child that handles SIGTERM ends as it likes")
    func graceful() async throws {
        let child = try shell("trap 'exit 3' TERM; echo ready > \"$FILE\"; while :; do sleep 0.01; done")
        try await started()
        child.terminate(grace: 60)
        #expect(await exit(of: child) == .exited(code: 3))
    }

    @Test("A child that ignores SIGTERM is killed after the grace")
    func killed() async throws {
        let child = try shell("trap '' TERM; echo ready > \"$FILE\"; while :; do sleep 0.01; done")
        try await started()
        child.terminate(grace: 0.05)
        #expect(await exit(of: child) == .killed(signal: SIGKILL))
    }

    @Test("A stopped child ends too")
    func stopped() async throws {
        let child = try shell("echo ready > \"$FILE\"; kill -STOP $$; sleep 60")
        try await started()
        var information = siginfo_t()
        #expect(waitid(P_PID, id_t(child.pid), &information, WSTOPPED | WNOWAIT) == 0)
        child.terminate(grace: 60)
        #expect(await exit(of: child) == .killed(signal: SIGTERM))
    }

    @Test("The parent watch fires when the write end is closed, not before")
    func parentWatch() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (input, output) = (ends[0], ends[1])
        let isClosed = Atomic<Bool>(false)
        let wasClosed = await withCheckedContinuation { continuation in
            ParentWatch.watch(input) { continuation.resume(returning: isClosed.load(ordering: .acquiring)) }
            var byte: UInt8 = 1
            _ = write(output, &byte, 1)
            isClosed.store(true, ordering: .releasing)
            close(output)
        }
        #expect(wasClosed)
        close(input)
    }

    @Test("The parent watch leaves a descriptor that is no pipe alone")
    func noPipe() {
        let descriptor = open("/dev/null", O_RDONLY)
        // At its end at once: a watch would fire.
        ParentWatch.watch(descriptor) { Issue.record("the watch fired") }
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0)
        close(descriptor)
    }

    @Test(
        "Signals are told by name and counted; a second SIGTERM soon after the first is its echo, a SIGINT is none",
        arguments: [(SignalWatcher.echo, "SIGINT 2"), (.zero, "SIGTERM 2")])
    func signals(echo: Duration, second: String) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        // On a thread that ends: the mask is not to stay with the tests.
        let watcher = try await onThread { SignalWatcher(echo: echo) { continuation.yield("\($0) \($1)") } }
        var told = stream.makeAsyncIterator()
        pthread_kill(watcher.thread, SIGTERM)
        #expect(await told.next() == "SIGTERM 1")
        pthread_kill(watcher.thread, SIGTERM)
        if echo > .zero {
            // Of two that wait the lower number comes first, and would hide the echo.
            try await Task.sleep(for: .milliseconds(100))
            pthread_kill(watcher.thread, SIGINT)
        }
        #expect(await told.next() == second)
    }

    @Test("The limit of open files is raised to the hard one, and refused where that is too low")
    func openFiles() throws {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var before = rlimit()
        getrlimit(resource, &before)
        var lowered = rlimit(rlim_cur: before.rlim_max - 1, rlim_max: before.rlim_max)
        setrlimit(resource, &lowered)
        try raiseOpenFileLimit()
        #expect(throws: ConfigurationError.self) { try raiseOpenFileLimit(workers: Int(before.rlim_max)) }
        var after = rlimit()
        getrlimit(resource, &after)
        #expect(after.rlim_cur == before.rlim_max)
        setrlimit(resource, &before)
    }
}
