import Checkpoints
import Kernels
import LanguageModel
import Testing

@Suite("Parity of random numbers and initial weights with PyTorch")
struct TorchParityTests {
    @Test("A seed gives PyTorch's weights, bit for bit", arguments: Fixtures.names("init/index"))
    func weights(name: String) throws {
        let index = try Fixtures.json(name)
        let shape = try ModelShape(index)
        let layout = ParameterLayout(shape)
        let seeds = try index["seeds"]
        #expect(!seeds.keys.isEmpty)
        for key in seeds.keys {
            let seed = try #require(UInt64(key))
            let model = try ModelFile.read(Fixtures.url(seeds[key]["file"].string))
            #expect(model.shape == shape)
            let drawn = Initializer.torch.initialise(layout: layout, shape: shape, seed: seed, forgetBias: nil)
            #expect(drawn.array.map(\.bitPattern) == model.parameters.array.map(\.bitPattern), "seed \(seed)")
            for entry in layout.entries {
                let stated = try seeds[key]["tensors"][entry.name]
                #expect(try stated["shape"].ints == entry.shape)
                #expect(Array(drawn.array[entry.range].prefix(8)) == (try stated["first8"].scalars(as: Float.self)))
                #expect(Array(drawn.array[entry.range].suffix(2)) == (try stated["last2"].scalars(as: Float.self)))
            }
            var random = TorchRandom(seed: seed)
            for _ in 0..<layout.count { _ = random.next32() }
            let next = (0..<3).map { _ in random.uniform(from: Float(0), to: 1) }
            #expect(next == (try seeds[key]["next_rand_float32"].scalars(as: Float.self)))
        }
    }

    @Test("A seed gives PyTorch's streams", arguments: Fixtures.names("init/index"))
    func streams(name: String) throws {
        let generators = try Fixtures.json(name)["generator"]
        for key in generators.keys {
            let wanted = try generators[key]
            let fresh = TorchRandom(seed: try #require(UInt64(key)))
            var random = fresh
            let indices = try wanted["indices"].ints
            let rand = (0...(indices.max() ?? 0)).map { _ in random.uniform(from: Float(0), to: 1) }
            #expect(indices.map { rand[$0] } == (try wanted["rand_f32"].scalars(as: Float.self)))
            random = fresh
            #expect((0..<4).map { _ in random.uniform(from: 0.0, to: 1) } == (try wanted["rand_f64_first4"].doubles))
            random = fresh
            let narrow = (0..<4).map { _ in random.uniform(from: Float(-0.08), to: 0.08) }
            #expect(narrow == (try wanted["uniform_f32_-0.08_0.08_first4"].scalars(as: Float.self)))
            random = fresh
            #expect((0..<8).map { _ in random.integer(below: 83) } == (try wanted["randint_0_83_first8_int64"].ints))
            random = fresh
            #expect(random.permutation(count: 10) == (try wanted["randperm_10"].ints))
        }
    }
}
