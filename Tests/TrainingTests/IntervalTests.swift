import Testing

@testable import Training

@Suite("Intervals")
struct IntervalTests {
    @Test("An interval is written as it is read", arguments: ["0", "500", "60s", "0.5s", "1000000000000s"])
    func roundTrip(text: String) throws {
        #expect(try #require(Interval(argument: text)).description == text)
    }

    @Test("A run that goes on is evaluated where an undisturbed one is, and at its last step; never means never")
    func evaluations() {
        func evaluated(_ every: Interval?, from step: UInt64) -> [UInt64] {
            var clock = UpkeepClock(
                .init(checkpointEvery: .never, evaluateEvery: every, sampleEvery: .never), stepsPerEpoch: 6,
                step: step)
            return (step + 1...14).filter { clock.evaluates(after: $0, isLast: $0 == 14) }
        }
        #expect(evaluated(.steps(4), from: 0) == [4, 8, 12, 14])
        #expect(evaluated(.steps(4), from: 7) == [8, 12, 14])
        // Once an epoch.
        #expect(evaluated(nil, from: 1) == [6, 12, 14])
        #expect(evaluated(.seconds(1e9), from: 3) == [14])
        #expect(evaluated(.never, from: 3).isEmpty)
        var samples = UpkeepClock(
            .init(checkpointEvery: .steps(3), sampleEvery: .seconds(1e9)), stepsPerEpoch: 6, step: 1)
        let due = (UInt64(2)...8).map { samples.committed(step: $0, isLast: $0 == 8) }
        #expect(due.map(\.checkpoint) == [false, false, true, false, false, true, false])
        #expect(due.map(\.sample) == [false, false, false, false, false, false, true])
    }

    @Test(
        "What no clock can count is no interval", arguments: ["1e300s", "1e308h", "infs", "nans", "-1s", "-1", "s", ""])
    func refused(text: String) {
        #expect(Interval(argument: text) == nil)
    }
}
