import Foundation

/// A run's state as one line of ASCII: a pure function of the snapshot and the room there is.
///
/// ```
/// [#####...........]  37%  step 7,400/20,000  epoch 8/20  loss 1.2345  validation 1.4012  best 1.3990  41.2k chars/s  left 5m 03s  2 workers
/// ```
///
/// Where the room is short the least important fields go first, and the step and the loss last.
package struct ProgressLine: Sendable, Equatable {
    private struct Field {
        let label: String
        let value: String
        let unit: String
        /// The lowest stays longest.
        let rank: Int

        init(_ label: String, _ value: String, _ unit: String = "", rank: Int) {
            self.label = label.isEmpty ? "" : label + " "
            self.value = value
            self.unit = unit.isEmpty ? "" : " " + unit
            self.rank = rank
        }

        var width: Int { label.utf8.count + value.utf8.count + unit.utf8.count }
    }

    private static let gap = "  "

    /// What to write, without a line end; with escapes for colour where they were asked for.
    package let text: String
    /// What it takes on a terminal.
    package let columns: Int

    /// - Parameters:
    ///   - width: columns that may be filled; nil for all fields.
    ///   - usesColor: whether labels are dimmed and the loss stands out. Escapes take no column.
    package init(_ snapshot: ProgressSnapshot, width: Int? = nil, usesColor: Bool = false) {
        var fields = Self.fields(snapshot)
        // A bar is for the eye, not for a log.
        if width != nil { fields.insert(Field("", Self.bar(snapshot), rank: 10), at: 0) }
        func columns() -> Int { fields.reduce(0) { $0 + $1.width } + Self.gap.utf8.count * (fields.count - 1) }
        if let width {
            while fields.count > 1, columns() > width, let last = fields.map(\.rank).max() {
                fields.removeAll { $0.rank == last }
            }
        }
        guard width.map({ columns() <= $0 }) ?? true else {
            // Not even the step fits.
            text = String(fields.map { $0.label + $0.value }.joined().prefix(max(0, width ?? 0)))
            self.columns = text.utf8.count
            return
        }
        self.columns = columns()
        text = fields.map { field in
            guard usesColor else { return field.label + field.value + field.unit }
            let value = field.label == "loss " ? "\u{1B}[1m\(field.value)\u{1B}[0m" : field.value
            return Self.dimmed(field.label) + value + Self.dimmed(field.unit)
        }.joined(separator: Self.gap)
    }

    private static func fields(_ snapshot: ProgressSnapshot) -> [Field] {
        let total = max(snapshot.totalSteps, 1)
        let percent = min(100, snapshot.step.multipliedFullWidth(by: 100).low / total)
        var fields = [
            Field("", "\(percent)%", rank: 9),
            Field("step", "\(grouped(snapshot.step))/\(grouped(snapshot.totalSteps))", rank: 0),
            Field("epoch", "\(grouped(snapshot.epoch))/\(grouped(snapshot.totalEpochs))", rank: 5),
            Field("loss", fourDecimals(snapshot.loss), rank: 1),
        ]
        if let loss = snapshot.validationLoss { fields.append(Field("validation", fourDecimals(loss), rank: 4)) }
        if let loss = snapshot.bestValidationLoss { fields.append(Field("best", fourDecimals(loss), rank: 7)) }
        if let bound = snapshot.entropyBound { fields.append(Field("bound", fourDecimals(bound), rank: 8)) }
        fields.append(Field("", rate(snapshot.charactersPerSecond), "chars/s", rank: 3))
        if let seconds = snapshot.remainingSeconds { fields.append(Field("left", duration(seconds), rank: 2)) }
        fields.append(Field("", "\(snapshot.workers)", snapshot.workers == 1 ? "worker" : "workers", rank: 6))
        return fields
    }

    private static func bar(_ snapshot: ProgressSnapshot) -> String {
        let cells = 16
        let share = Double(snapshot.step) / Double(max(snapshot.totalSteps, 1))
        let full = min(cells, Int(share * Double(cells)))
        return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: cells - full) + "]"
    }

    private static func dimmed(_ text: String) -> String { text.isEmpty ? "" : "\u{1B}[2m\(text)\u{1B}[0m" }

    /// `1,234,567`.
    package static func grouped(_ value: UInt64) -> String {
        var text = ""
        for (index, digit) in String(value).reversed().enumerated() {
            if index > 0 && index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// `950`, `41.2k`, `1.25M`.
    static func rate(_ value: Double) -> String {
        guard value.isFinite, value >= 0 else { return "?" }
        if value < 999.5 { return String(format: "%.0f", value) }
        if value < 999_950 { return String(format: "%.1fk", value / 1e3) }
        return String(format: "%.2fM", value / 1e6)
    }

    /// `42s`, `5m 03s`, `1h 02m`, `3d 04h`.
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "?" }
        let whole = Int(seconds.rounded(.up))
        let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60)
        if days > 0 { return String(format: "%dd %02dh", days, hours) }
        if hours > 0 { return String(format: "%dh %02dm", hours, minutes) }
        return minutes > 0 ? String(format: "%dm %02ds", minutes, whole % 60) : "\(whole)s"
    }
}
