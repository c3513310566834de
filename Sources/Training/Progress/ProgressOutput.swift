import Foundation

/// Where progress is written to, and what is known of it.
package struct ProgressOutput: Sendable {
    /// Whether a line can be drawn again in place.
    package var isTerminal: Bool
    package var usesColor: Bool
    /// The width of the terminal now: it may change at any time.
    package var columns: @Sendable () -> Int
    package var write: @Sendable (String) -> Void
    /// Waits until what was written is out, but not for ever.
    package var flush: @Sendable () -> Void

    package init(
        isTerminal: Bool, usesColor: Bool, columns: @escaping @Sendable () -> Int,
        write: @escaping @Sendable (String) -> Void, flush: @escaping @Sendable () -> Void
    ) {
        self.isTerminal = isTerminal
        self.usesColor = usesColor
        self.columns = columns
        self.write = write
        self.flush = flush
    }

    /// An open file of this process, written to in the background. `NO_COLOR` and `TERM=dumb` are honoured; `COLUMNS`
    /// wins over the terminal's word.
    package static func file(
        _ descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> ProgressOutput {
        let isTerminal = isatty(descriptor) == 1 && environment["TERM"] != "dumb"
        let stated = environment["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
        let writer = ProgressWriter(descriptor: descriptor)
        return ProgressOutput(
            isTerminal: isTerminal,
            usesColor: isTerminal && (environment["NO_COLOR"] ?? "").isEmpty,
            columns: { stated ?? terminalColumns(descriptor) ?? 80 },
            write: { writer.write($0) }, flush: { writer.flush() })
    }

    private static func terminalColumns(_ descriptor: Int32) -> Int? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}
