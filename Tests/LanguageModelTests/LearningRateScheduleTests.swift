import Foundation
import LanguageModel
import Testing

@Suite("Learning-rate schedules")
struct LearningRateScheduleTests {
    private func rates(_ schedule: LearningRateSchedule, _ steps: Range<UInt64>, total: UInt64 = 10) -> [Double] {
        steps.map { schedule.learningRate(base: 1, step: $0, stepsPerEpoch: 3, totalSteps: total) }
    }

    @Test("A constant stays")
    func constant() {
        #expect(rates(LearningRateSchedule(), 0..<5) == [1, 1, 1, 1, 1])
    }

    @Test("A warm-up climbs in equal parts and the schedule begins after it")
    func warmup() {
        let schedule = LearningRateSchedule(.step(size: 2, gamma: 0.5), warmup: 3)
        #expect(rates(schedule, 0..<8) == [0.25, 0.5, 0.75, 1, 1, 0.5, 0.5, 0.25])
    }

    @Test("With the unit an epoch, the rate changes between epochs alone")
    func epochs() {
        let step = LearningRateSchedule(.step(size: 1, gamma: 0.5), unit: .epoch)
        #expect(rates(step, 0..<7) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25])
        let decay = LearningRateSchedule(.exponential(gamma: 0.5, after: 2), unit: .epoch)
        #expect(rates(decay, 5..<10) == [1, 0.5, 0.5, 0.5, 0.25])
        let cosine = LearningRateSchedule(.cosine(period: 2, minimum: 0), unit: .epoch)
        #expect(rates(cosine, 0..<9).map { ($0 * 1e12).rounded() / 1e12 } == [1, 1, 1, 0.5, 0.5, 0.5, 0, 0, 0])
    }

    @Test("A cosine without a period ends at its minimum with the run, and stays")
    func cosine() {
        let schedule = LearningRateSchedule(.cosine(period: nil, minimum: 0.1), warmup: 2)
        let values = rates(schedule, 2..<14)
        #expect(values[0] == 1 && abs(values[4] - 0.55) < 1e-15)
        #expect(zip(values.prefix(9), values.dropFirst()).allSatisfy { $0 >= $1 })
        #expect(values[8...].allSatisfy { $0 == 0.1 })
    }

    @Test("Large steps are computed at once and stay finite")
    func large() {
        let schedule = LearningRateSchedule(.exponential(gamma: 0.999, after: 0))
        let rate = schedule.learningRate(base: 1, step: 1 << 40, stepsPerEpoch: 1, totalSteps: 1 << 41)
        #expect(rate >= 0 && rate < 1e-300)
    }

    @Test("A schedule goes through JSON unchanged")
    func coding() throws {
        for schedule in [
            LearningRateSchedule(), LearningRateSchedule(.step(size: 4, gamma: 0.5), unit: .epoch, warmup: 7),
            LearningRateSchedule(.exponential(gamma: 0.97, after: 10), warmup: 2, warmupStart: 0.1),
            LearningRateSchedule(.cosine(period: nil, minimum: 1e-5)),
            LearningRateSchedule(.cosine(period: 9, minimum: 0)),
        ] {
            let data = try JSONEncoder().encode(schedule)
            #expect(try JSONDecoder().decode(LearningRateSchedule.self, from: data) == schedule)
        }
    }

    @Test("Values that cannot be worked with are named")
    func validation() throws {
        try LearningRateSchedule(.cosine(period: nil, minimum: 0.1), warmup: 5, warmupStart: 0.5).validate()
        for (schedule, word) in [
            (LearningRateSchedule(.step(size: 0, gamma: 0.5)), "--schedule-size"),
            (LearningRateSchedule(.step(size: 1, gamma: 0)), "--schedule-gamma"),
            (LearningRateSchedule(.exponential(gamma: .nan, after: 0)), "--schedule-gamma"),
            (LearningRateSchedule(.cosine(period: 0, minimum: 0)), "--schedule-size"),
            (LearningRateSchedule(.cosine(period: .max, minimum: 0)), "--schedule-size"),
            (LearningRateSchedule(.cosine(period: nil, minimum: -1)), "--schedule-minimum"),
            (LearningRateSchedule(warmup: 3, warmupStart: 2), "warm-up"),
        ] {
            let error = #expect(throws: ScheduleError.self) { try schedule.validate() }
            #expect(error?.description.contains(word) == true)
        }
    }
}
