import Testing

@testable import Training

@Suite("Intervals")
struct IntervalTests {
    @Test("An interval is written as it is read", arguments: ["0", "500", "60s", "0.5s", "1000000000000s"])
    func roundTrip(text: String) throws {
        #expect(try #require(Interval(argument: text)).description == text)
    }

    @Test(
        "What no clock can count is no interval", arguments: ["1e300s", "1e308h", "infs", "nans", "-1s", "-1", "s", ""])
    func refused(text: String) {
        #expect(Interval(argument: text) == nil)
    }
}
