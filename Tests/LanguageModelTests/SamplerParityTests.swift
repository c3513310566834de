import LanguageModel
import Testing

@Suite("Parity of the sampling distribution with PyTorch")
struct SamplerParityTests {
    @Test("Temperature, top-k and top-p give the same probabilities", arguments: Fixtures.names("sampling"))
    func distribution(name: String) throws {
        let file = try Fixtures.json(name)
        let logits = try file["logits"].doubles
        for entry in try file["cases"].array {
            let sampler = try Sampler(
                temperature: entry["temperature"].double, topK: entry[optional: "top_k"]?.int,
                topP: entry[optional: "top_p"]?.double, seed: 0)
            let probabilities = try sampler.distribution(logits: logits)
            let wanted = try entry["probs"].doubles
            // Of equal logits at a cut, either may be kept.
            func arranged(_ values: [Double]) -> [Double] {
                logits.indices.sorted { (logits[$0], values[$0]) < (logits[$1], values[$1]) }.map { values[$0] }
            }
            expectClose(arranged(probabilities), arranged(wanted), 1e-12, "\(entry)")
        }
    }
}
