import Testing

@testable import Training

@Suite("How often a worker process is started again")
struct RestartBudgetTests {
    /// For each of the ends, in seconds, whether the process may be started again.
    private func answers(_ ends: [Double]) -> [Bool] {
        let start = ContinuousClock.now
        var budget = RestartBudget()
        return ends.map { budget.ended(at: start + .seconds($0)) }
    }

    @Test("A crash a day is made good for a year")
    func rare() {
        #expect(answers((0..<365).map { Double($0) * 86400 }).allSatisfy { $0 })
    }

    @Test("A process that ends at once each time is given up after three starts")
    func loop() {
        #expect(answers([0, 0.1, 0.2, 0.3]) == [true, true, true, false])
    }

    @Test("Starts count for ten minutes each, and no longer")
    func refills() {
        #expect(answers([0, 60, 120, 600]) == [true, true, true, true])
        #expect(answers([0, 60, 120, 599]) == [true, true, true, false])
        #expect(answers([0, 60, 120, 600, 659]) == [true, true, true, true, false])
    }
}
