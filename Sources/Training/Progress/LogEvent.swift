import Coordination

/// What happened, in the words of `log.txt`, and of which kind it is. Those who look back at a run know the kind by the
/// words alone, so the words of every kind that is read back stand here, for writer and reader.
struct LogEvent {
    let kind: RunSnapshot.Event.Kind
    let text: String

    static func joined(_ hello: Hello, workers: Int) -> LogEvent {
        LogEvent(
            kind: .joined,
            text: "\(hello.name)\(joinedFrom)\(hello.host), \(hello.threads) thread\(hello.threads == 1 ? "" : "s"); "
                + "\(workers) worker\(workers == 1 ? "" : "s")")
    }

    static func lost(_ name: String, reason: String, left: Int) -> LogEvent {
        LogEvent(kind: .lost, text: "\(lostStart)\(name) (\(reason)); \(left) left")
    }

    static func sample(_ sample: RunSnapshot.Sample) -> LogEvent {
        LogEvent(kind: .sample, text: "\(sampleStart)\(sample.step)\(sampleSeparator)\(sample.text)\n")
    }

    static func warning(_ text: String) -> LogEvent { LogEvent(kind: .warning, text: warningStart + text) }

    private static let joinedFrom = " joined from "
    private static let lostStart = "lost "
    private static let sampleStart = "sample at step "
    private static let sampleSeparator = ":\n"
    private static let warningStart = "warning: "
}

// Read back.
extension LogEvent {
    /// An event read back from its text; what has no kind that is read back is information.
    init(text: String) {
        self.text = text
        if text.hasPrefix(Self.sampleStart) {
            kind = .sample
        } else if text.hasPrefix(Self.warningStart) {
            kind = .warning
        } else if text.prefix(while: { $0 != "\n" }).contains(Self.joinedFrom) {
            kind = .joined
        } else {
            kind = text.hasPrefix(Self.lostStart) ? .lost : .information
        }
    }

    /// nil where the event is none, or was cut off in its first line.
    var sample: RunSnapshot.Sample? {
        guard kind == .sample else { return nil }
        let parts = text.dropFirst(Self.sampleStart.count).split(separator: Self.sampleSeparator, maxSplits: 1)
        guard parts.count == 2, let step = UInt64(parts[0]) else { return nil }
        var text = String(parts[1])
        if text.last == "\n" { text.removeLast() }
        return RunSnapshot.Sample(step: step, text: text)
    }
}
