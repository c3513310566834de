/// How often a process that ends may be started again: so many times within any span of time. A crash a day is no reason to
/// give a worker up, however long the run is; one that crashes as soon as it starts is not to be started for ever.
struct RestartBudget {
    /// Starts, within `span`.
    static let limit = 3
    static let span = Duration.seconds(600)

    /// Why it is not, in words.
    static let exhausted = ", after \(limit + 1) ends within \(span.components.seconds / 60) minutes"

    private var ends: [ContinuousClock.Instant] = []

    /// The process has ended.
    ///
    /// - Returns: whether it may be started again.
    mutating func ended(at now: ContinuousClock.Instant) -> Bool {
        ends.removeAll { now - $0 >= Self.span }
        ends.append(now)
        return ends.count <= Self.limit
    }
}
