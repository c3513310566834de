import Foundation
import Glibc

/// Turns SIGINT, SIGTERM and SIGHUP, which comes when a terminal is closed, into calls on a thread, where anything may be
/// done; and has SIGPIPE and SIGXFSZ ignored, so that a closed output, and a file that grows too large, are errors of the
/// write. Lasts as long as the process.
package final class SignalWatcher: Sendable {
    /// The thread that waits; never ends.
    let thread: pthread_t

    /// To be made in the main thread before others start: a thread inherits the blocked signals of the one that starts it.
    ///
    /// A SIGTERM or SIGHUP that comes so soon after the first signal says the same once more: service managers, `timeout`
    /// and Slurm signal a process and then its group, and a closed terminal its shell and then its jobs. Who presses
    /// Ctrl-C twice means it.
    package static let echo = Duration.seconds(2)

    /// - Parameter onSignal: gets the signal's name, and how many have come up to now with this one, without echoes.
    package init(
        echo: Duration = SignalWatcher.echo, onSignal: @escaping @Sendable (_ signalName: String, _ count: Int) -> Void
    ) {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        // A shell without job control starts background jobs with SIGINT ignored, and the kernel would drop it.
        signal(SIGINT, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        // Not where nohup has it ignored: a blocked signal would be seen all the same.
        var hangUp = sigaction()
        sigaction(SIGHUP, nil, &hangUp)
        if unsafeBitCast(hangUp.__sigaction_handler.sa_handler, to: Int.self) == 0 { sigaddset(&signals, SIGHUP) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        var thread = pthread_t()
        let loop = Unmanaged.passRetained(Loop(signals: signals, echo: echo, onSignal: onSignal))
        let code = pthread_create(
            &thread, nil, { Unmanaged<Loop>.fromOpaque($0!).takeRetainedValue().run() }, loop.toOpaque())
        precondition(code == 0, "no thread can be started")
        self.thread = thread
    }

    /// Ends the process as the signal does that it was sent.
    static func end(by number: Int32) -> Never {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, number)
        signal(number, SIG_DFL)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(number)
        // Not reached: the signal ends the process before `raise` returns.
        _exit(128 + number)
    }

    private final class Loop {
        private var signals: sigset_t
        private let echo: Duration
        private let onSignal: @Sendable (String, Int) -> Void

        init(signals: sigset_t, echo: Duration, onSignal: @escaping @Sendable (String, Int) -> Void) {
            self.signals = signals
            self.echo = echo
            self.onSignal = onSignal
        }

        func run() -> Never {
            var count = 0
            var first: ContinuousClock.Instant?
            while true {
                var signal: Int32 = 0
                guard sigwait(&signals, &signal) == 0 else { continue }
                let now = ContinuousClock.now
                if let first, signal != SIGINT, now - first < echo { continue }
                first = first ?? now
                count += 1
                onSignal(signal == SIGINT ? "SIGINT" : signal == SIGHUP ? "SIGHUP" : "SIGTERM", count)
            }
        }
    }
}
