package import Coordination
import Foundation

/// A ``RunSnapshot`` as lines of text.
package struct StatusReport {
    /// Without a newline at its end.
    package let text: String
    /// Seconds after which a report tells what the open step waits for.
    private static let longWait = 1.0

    /// - Parameters:
    ///   - width: columns; longer lines are cut.
    ///   - usesColor: whether headings stand out.
    package init(_ snapshot: RunSnapshot, width: Int, usesColor: Bool = false) {
        let heading =
            "\(snapshot.name)  \(snapshot.state.rawValue)  for \(Self.duration(snapshot.time - snapshot.started))"
        var lines = [usesColor ? "\u{1B}[1m\(Self.line(heading, width))\u{1B}[0m" : Self.line(heading, width)]
        func add(_ text: String) { lines.append(Self.line(text, width)) }
        add(Self.progress(snapshot.progress))
        if let open = snapshot.openStep {
            // Every step waits for somebody as long as it is open: that is told where it takes long, or has not begun.
            if let waiting = open.waiting, open.age ?? .infinity >= Self.longWait { add(waiting) }
            if open.age != nil {
                add(
                    "open step \(open.step): \(open.acceptedShards) of \(open.shards) shards, \(open.completeChunks) of "
                        + "\(open.chunks) gradient chunks")
            }
        }
        lines.append("")
        for row in Self.table(snapshot) { add(row) }
        if snapshot.memberCount > snapshot.members.count {
            add("and \(snapshot.memberCount - snapshot.members.count) more")
        }
        if !snapshot.events.isEmpty { lines.append("") }
        for event in snapshot.events.filter({ $0.kind != .sample }).suffix(8) {
            add("\(Self.duration(snapshot.time - event.time)) ago  \(event.text)")
        }
        text = lines.joined(separator: "\n")
    }

    private static func progress(_ progress: RunSnapshot.Progress) -> String {
        var text = "step \(ProgressLine.grouped(progress.step))/\(ProgressLine.grouped(progress.totalSteps))"
        text += "  epoch \(progress.epoch)/\(progress.totalEpochs)"
        if let loss = progress.loss { text += String(format: "  loss %.4f", loss) }
        if let loss = progress.validationLoss { text += String(format: "  validation %.4f", loss) }
        if let loss = progress.bestValidationLoss { text += String(format: "  best %.4f", loss) }
        if let rate = progress.charactersPerSecond { text += "  \(ProgressLine.rate(rate)) chars/s" }
        if let left = progress.remainingSeconds { text += "  left \(ProgressLine.duration(left))" }
        return text
    }

    private static func table(_ snapshot: RunSnapshot) -> [String] {
        guard !snapshot.members.isEmpty else { return ["no worker is connected"] }
        var rows = [
            ["worker", "host", "threads", "state", "shards", "chars/s", "computing", "waiting", "sending", "heard"]
        ]
        for member in snapshot.members {
            func percent(_ share: Double?) -> String { share.map { String(format: "%.0f%%", $0 * 100) } ?? "-" }
            rows.append([
                String(member.name.prefix(24)), String(member.host.prefix(20)), "\(member.threads)",
                member.state.rawValue, LeasePlan.text(member.shards),
                member.charactersPerSecond.map(ProgressLine.rate) ?? "-", percent(member.computing),
                percent(member.waiting), percent(member.sending), String(format: "%.1fs", member.silence),
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
        return rows.map { row in
            row.enumerated().map { $1 + String(repeating: " ", count: widths[$0] - $1.count) }
                .joined(separator: "  ")
        }
    }

    private static func duration(_ seconds: Double) -> String { ProgressLine.duration(max(0, seconds)) }

    /// One line of what others wrote: without control characters, and no longer than the terminal is wide.
    private static func line(_ text: String, _ width: Int) -> String {
        let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
        var line = String(String.UnicodeScalarView(scalars))
        while line.last == " " { line.removeLast() }
        return String(line.prefix(max(1, width)))
    }
}
