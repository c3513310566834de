import Foundation
import Kernels
import LanguageModel
import Testing

@Suite("Initial weights")
struct InitializerTests {
    private let shape = ModelShape(vocabulary: 7, hidden: 4, layers: 2)
    private var layout: ParameterLayout { ParameterLayout(shape) }

    @Test("An argument is read as it is written", arguments: ["torch", "uniform:0.08", "uniform:0.0", "uniform:1e-05"])
    func argument(_ text: String) throws {
        let initializer = try #require(Initializer(argument: text))
        #expect(initializer.description == text)
        let data = try JSONEncoder().encode([initializer])
        #expect(String(decoding: data, as: UTF8.self) == "[\"\(text)\"]")
        #expect(try JSONDecoder().decode([Initializer].self, from: data) == [initializer])
    }

    @Test(
        "Another argument is refused",
        arguments: [
            "", "Torch", "uniform", "uniform:", "uniform:x", "uniform:-1", "uniform:inf", "uniform:nan", "torch:1",
        ])
    func badArgument(_ text: String) {
        #expect(Initializer(argument: text) == nil)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([Initializer].self, from: Data("[\"\(text)\"]".utf8))
        }
    }

    @Test("Uniform draws keep to their bound, and another seed gives others")
    func uniform() {
        let draw = { (seed: UInt64) in
            Initializer.uniform(0.08).initialise(layout: layout, shape: shape, seed: seed, forgetBias: nil).array
        }
        let first = draw(1)
        #expect(first.allSatisfy { abs($0) <= 0.08 } && first.contains { abs($0) > 0.07 })
        #expect(first == draw(1) && first != draw(2))
    }

    @Test("The forget bias changes the forget gates alone", arguments: [Initializer.torch, .uniform(0.5)])
    func forgetBias(_ initializer: Initializer) {
        let plain = initializer.initialise(layout: layout, shape: shape, seed: 3, forgetBias: nil).array
        let set = initializer.initialise(layout: layout, shape: shape, seed: 3, forgetBias: 1.5).array
        for entry in layout.entries {
            for (place, index) in entry.range.enumerated() {
                let wanted: Float =
                    switch entry.name.dropLast(1) {
                    case "lstm.bias_ih_l" where (4..<8).contains(place): 1.5
                    case "lstm.bias_hh_l" where (4..<8).contains(place): 0
                    default: plain[index]
                    }
                #expect(set[index] == wanted, "\(entry.name) \(place)")
            }
        }
    }

    @Test("Only the low 32 bits of a seed count, as in PyTorch")
    func wideSeed() {
        var (low, high) = (TorchRandom(seed: 5), TorchRandom(seed: 5 + 1 << 32))
        #expect(low.next64() == high.next64())
    }
}
