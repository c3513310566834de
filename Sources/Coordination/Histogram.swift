/// Counts of durations below fixed bounds, as Prometheus wants them.
package struct Histogram: Sendable, Equatable {
    /// Seconds. A step takes from a millisecond to a minute.
    package static let bounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// How many fell at or below each bound and above the one before; the last counts the rest.
    package private(set) var counts = Array(repeating: UInt64(0), count: bounds.count + 1)
    package private(set) var sum = 0.0

    package init() {}

    /// Counts a duration, in seconds; one that is not finite is left out.
    package mutating func add(_ seconds: Double) {
        guard seconds.isFinite else { return }
        counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
        sum += seconds
    }
}
