import Foundation
import Synchronization

/// Tells the user how a run goes, from any thread.
///
/// On a terminal one line is drawn again in place and events stand above it. Elsewhere (a log file, a pipe) plain lines
/// come at a fair interval: the first step, then one every few seconds, and the last.
package final class ProgressPrinter: Sendable {
    private struct State {
        var latest: ProgressSnapshot?
        /// Whether `latest` is not on display.
        var isStale = false
        /// Columns of the drawn line behind which the cursor stands; nil where it stands behind none.
        var drawn: Int?
        var lastPrinted: Double?
        var isFinished = false
    }

    /// Seconds between two drawings of the line: no eye follows more.
    private static let terminalInterval = 0.1

    private let output: ProgressOutput
    private let isQuiet: Bool
    private let interval: Double
    private let clock: @Sendable () -> Double
    private let state = Mutex(State())

    /// - Parameters:
    ///   - isQuiet: print nothing but warnings.
    ///   - plainInterval: seconds between two lines where there is no terminal.
    ///   - clock: seconds that only grow.
    package init(
        output: ProgressOutput = .file(STDERR_FILENO), isQuiet: Bool = false, plainInterval: Double = 5,
        clock: @escaping @Sendable () -> Double = { ProcessInfo.processInfo.systemUptime }
    ) {
        self.output = output
        self.isQuiet = isQuiet
        interval = output.isTerminal ? Self.terminalInterval : plainInterval
        self.clock = clock
    }

    /// Shows a newer state, now or when it is time again.
    package func update(_ snapshot: ProgressSnapshot) {
        guard !isQuiet else { return }
        state.withLock { state in
            state.latest = snapshot
            state.isStale = true
            let now = clock()
            let isLast = snapshot.step >= snapshot.totalSteps
            if isLast || state.lastPrinted.map({ now - $0 >= interval }) ?? true {
                display(&state, at: now)
            }
        }
    }

    /// Corrects the state that is shown, on a terminal at once; a log gets it with its next line.
    package func amend(_ change: (inout ProgressSnapshot) -> Void) {
        guard !isQuiet else { return }
        state.withLock { state in
            guard var snapshot = state.latest else { return }
            change(&snapshot)
            state.latest = snapshot
            if state.drawn != nil { display(&state, at: clock()) }
        }
    }

    /// Prints what happened, above the line where there is one. Control characters are made visible: names and samples
    /// come from others.
    ///
    /// - Parameter isWarning: print it even when quiet.
    package func event(_ text: String, isWarning: Bool = false) {
        guard !isQuiet || isWarning else { return }
        state.withLock { state in
            let wasDrawn = state.drawn != nil
            let start = wasDrawn ? lineStart(state, columns: output.columns()) + "\u{1B}[K" : ""
            output.write(start + text.withVisibleControls + "\n")
            state.drawn = nil
            if wasDrawn { display(&state, at: clock()) }
            if state.isFinished { output.flush() }
        }
    }

    /// Leaves the last state standing and the cursor on a line of its own, all written. Events may still come; each
    /// is written when its call returns.
    package func finish() {
        state.withLock { state in
            if state.isStale { display(&state, at: clock()) }
            if state.drawn != nil { output.write("\n") }
            state.drawn = nil
            state.isFinished = true
            output.flush()
        }
    }

    /// Takes the cursor to the beginning of the drawn line. A terminal that was made narrower since shows it in several rows,
    /// which would stay otherwise; one that cuts lines instead loses as many of the rows above.
    private func lineStart(_ state: State, columns: Int) -> String {
        guard let drawn = state.drawn, drawn > columns else { return "\r" }
        return "\r\u{1B}[\((drawn - 1) / columns)A\u{1B}[J"
    }

    private func display(_ state: inout State, at now: Double) {
        guard let snapshot = state.latest else { return }
        if output.isTerminal {
            let columns = output.columns()
            // The last column stays free: a terminal may wrap as soon as it is filled.
            let line = ProgressLine(snapshot, width: max(1, columns - 1), usesColor: output.usesColor)
            output.write(lineStart(state, columns: columns) + line.text + "\u{1B}[K")
            state.drawn = line.columns
        } else {
            output.write(ProgressLine(snapshot).text + "\n")
        }
        state.isStale = false
        state.lastPrinted = now
    }
}
