import Kernels
import LanguageModel
import Testing

@Suite("Sampling")
struct SamplerTests {
    private let logits: [Float] = [1, 3, 3, -2, 0.5]

    private func draws(_ sampler: Sampler, _ count: Int) throws -> [Int] {
        var sampler = sampler
        return try (0..<count).map { _ in try sampler.next(logits: logits) }
    }

    @Test("Temperature 0 takes the most likely, of equals the first")
    func greedy() throws {
        #expect(try draws(Sampler(temperature: 0, seed: 9), 20) == Array(repeating: 1, count: 20))
    }

    @Test("A seed gives the same characters wherever it runs")
    func seeded() throws {
        let first = try draws(Sampler(seed: 42), 24)
        #expect(first == [2, 1, 1, 1, 0, 2, 1, 2, 1, 2, 1, 1, 2, 2, 2, 1, 1, 1, 1, 2, 2, 1, 2, 2])
        #expect(try draws(Sampler(seed: 42), 24) == first)
        #expect(try draws(Sampler(seed: 43), 24) != first)
    }

    @Test("Characters come as often as their probability says")
    func frequencies() throws {
        let sampler = try Sampler(temperature: 1.5, seed: 1)
        let wanted = try sampler.distribution(logits: logits.map(Double.init))
        var counts = [Double](repeating: 0, count: logits.count)
        for index in try draws(sampler, 20_000) { counts[index] += 1.0 / 20_000 }
        for (count, probability) in zip(counts, wanted) { #expect(abs(count - probability) < 0.015) }
    }

    @Test("Top-k and top-p shut the others out")
    func cuts() throws {
        #expect(Set(try draws(Sampler(temperature: 5, topK: 1, seed: 1), 200)) == [1])
        #expect(Set(try draws(Sampler(temperature: 5, topK: 3, seed: 1), 200)) == [0, 1, 2])
        #expect(Set(try draws(Sampler(temperature: 1, topP: 0.6, seed: 1), 200)) == [1, 2])
        #expect(Set(try draws(Sampler(temperature: 1, topK: 99, topP: 1e-9, seed: 1), 200)) == [1])
        let both = try Sampler(topK: 2, topP: 0.5, seed: 1).distribution(logits: logits.map(Double.init))
        #expect(both == [0, 1, 0, 0, 0])
    }

    @Test("A very low temperature is the greedy choice, a very high one even")
    func extremes() throws {
        let low = try Sampler(temperature: 1e-300, seed: 1).distribution(logits: [1, 2, 1.5])
        #expect(low == [0, 1, 0])
        let high = try Sampler(temperature: 1e300, seed: 1).distribution(logits: [1, 2, 1.5, -8])
        #expect(high == [0.25, 0.25, 0.25, 0.25])
    }

    @Test("Options out of their bounds are refused")
    func bounds() {
        #expect(throws: SamplerError.temperature(-1)) { try Sampler(temperature: -1, seed: 0) }
        #expect(throws: SamplerError.self) { try Sampler(temperature: .nan, seed: 0) }
        #expect(throws: SamplerError.topK(0)) { try Sampler(topK: 0, seed: 0) }
        #expect(throws: SamplerError.topP(0)) { try Sampler(topP: 0, seed: 0) }
        #expect(throws: SamplerError.topP(1.5)) { try Sampler(topP: 1.5, seed: 0) }
    }

    @Test("A model that diverged gives an error, not a character")
    func notFinite() throws {
        var sampler = try Sampler(seed: 0)
        #expect(throws: SamplerError.notFinite) { try sampler.next(logits: [0, .nan]) }
        #expect(throws: SamplerError.notFinite) { try sampler.next(logits: [0, .infinity]) }
        #expect(throws: SamplerError.notFinite) { try sampler.next(logits: []) }
    }
}
