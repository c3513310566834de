import Coordination

/// Lets through the lines about bad peers that a person can read, and counts the rest: a flood of bad messages must not
/// become a flood of lines.
struct Complaints {
    /// Lines that may come at once.
    static let burst = 20
    private var allowance = Self.burst
    private var leftOut = 0
    private var refilled: UInt64 = 0

    /// The line to write, if any.
    ///
    /// - Parameter now: nanoseconds that only grow; each second allows one more line.
    mutating func line(_ text: String, now: UInt64) -> String? {
        let seconds = now.since(refilled) / 1_000_000_000
        if seconds > 0 {
            allowance = Int(min(UInt64(Self.burst), UInt64(allowance) + seconds))
            refilled = now
        }
        guard allowance > 0 else {
            leftOut += 1
            return nil
        }
        allowance -= 1
        defer { leftOut = 0 }
        return leftOut == 0 ? text : "\(text) (and \(leftOut) more refusals since the last one told)"
    }
}
