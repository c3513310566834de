import Kernels
import SeededNumbers

/// Chooses the next character from a model's logits.
///
/// The same seed and the same logits give the same text on every machine: exponentials are our own, and the sums run
/// in the order of the vocabulary.
package struct Sampler: Sendable {
    package let temperature: Double
    package let topK: Int?
    package let topP: Double?
    private var random: SplitMix64

    /// - Parameters:
    ///   - temperature: 0 takes the most likely character always.
    ///   - topK: only the `topK` most likely characters are considered; of equals, those first in the vocabulary.
    ///   - topP: only the smallest set of most likely characters whose total reaches `topP`, after `topK`.
    /// - Throws: ``SamplerError`` for a value out of its bounds.
    package init(temperature: Double = 1, topK: Int? = nil, topP: Double? = nil, seed: UInt64) throws(SamplerError) {
        guard temperature >= 0, temperature.isFinite else { throw .temperature(temperature) }
        if let topK, topK < 1 { throw .topK(topK) }
        if let topP, !(topP > 0 && topP <= 1) { throw .topP(topP) }
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        random = SplitMix64(seed: seed)
    }

    /// The index of the next character.
    ///
    /// - Throws: ``SamplerError/notFinite`` where the model gave a NaN or an infinity.
    package mutating func next(logits: some Collection<Float>) throws(SamplerError) -> Int {
        let probabilities = try distribution(logits: logits.map(Double.init))
        // A draw is used up by greedy choice too, so that the stream depends on nothing but the count of characters.
        let point = random.unit()
        var total = 0.0
        var last = 0
        for (index, probability) in probabilities.enumerated() where probability > 0 {
            total += probability
            last = index
            if point < total { return index }
        }
        return last
    }

    /// The probability of each character after temperature, top-k and top-p, in that order, renormalised.
    ///
    /// - Throws: ``SamplerError/notFinite`` where a logit is a NaN or an infinity, or there is none.
    package func distribution(logits: [Double]) throws(SamplerError) -> [Double] {
        guard let largest = logits.max(), logits.allSatisfy(\.isFinite) else { throw .notFinite }
        if temperature == 0 {
            let best = logits.firstIndex(of: largest)!
            return logits.indices.map { $0 == best ? 1 : 0 }
        }
        var weights = logits.map { ($0 - largest) / temperature }
        DeterministicMath.exp(of: &weights)
        weights = normalised(weights)
        guard topK != nil || topP != nil else { return weights }
        let order = weights.indices.sorted { (weights[$0], $1) > (weights[$1], $0) }
        if let topK {
            for index in order.dropFirst(topK) { weights[index] = 0 }
            weights = normalised(weights)
        }
        if let topP {
            var reached = 0.0
            for index in order {
                let weight = weights[index]
                if reached >= topP { weights[index] = 0 }
                reached += weight
            }
            weights = normalised(weights)
        }
        return weights
    }

    private func normalised(_ weights: [Double]) -> [Double] {
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }
}

/// Why no character can be chosen.
package enum SamplerError: Error, Equatable, CustomStringConvertible {
    case temperature(Double)
    case topK(Int)
    case topP(Double)
    case notFinite

    package var description: String {
        switch self {
        case .temperature(let value): "--temperature must be 0 or more and finite, not \(value)"
        case .topK(let value): "--top-k must be 1 or more, not \(value)"
        case .topP(let value): "--top-p must be above 0 and at most 1, not \(value)"
        case .notFinite: "the model's output is not finite: its training diverged; take an earlier checkpoint"
        }
    }
}
