/// When workers were lost, by their names, whose processes have not been seen to end.
struct Absences {
    private let limit: Duration
    private var lost: [String: ContinuousClock.Instant] = [:]

    /// - Parameter limit: how long a worker may be away.
    init(limit: Duration) { self.limit = limit }

    mutating func begin(_ name: String) { lost[name] = .now }

    mutating func end(_ name: String) { lost[name] = nil }

    /// Those that have been away for too long. Each is told of once.
    mutating func overdue(now: ContinuousClock.Instant) -> [String] {
        let names = lost.filter { now - $0.value > limit }.map(\.key)
        for name in names { lost[name] = nil }
        return names
    }
}
