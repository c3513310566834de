import LanguageModel

/// The text, batches and wanted numbers of a `train_run` fixture.
struct TrainingRun {
    let name: String
    let shape: ModelShape
    let rows: Int
    let window: Int
    let epochs: Int
    let largestNorm: Double
    let seed: UInt64
    let optimizer: OptimizerConfiguration
    let vocabulary: [Unicode.Scalar]
    let encoded: [Int]
    /// Of each epoch: inputs and targets, `[B, T]`.
    let training: [(inputs: [Int], targets: [Int])]
    let validation: [(inputs: [Int], targets: [Int])]
    let file: JSON

    init(_ name: String) throws {
        self.name = name
        file = try Fixtures.json(name)
        let config = try file["config"]
        shape = try ModelShape(config)
        (rows, window, epochs) = try (config["B"].int, config["T"].int, config["epochs"].int)
        largestNorm = try config["max_norm"].double
        seed = UInt64(try config["seed"].int)
        optimizer = try OptimizerConfiguration(name: config["optimizer"].string, hyper: config)
        vocabulary = Array(try file["vocabulary"].string.unicodeScalars)
        let index = Dictionary(uniqueKeysWithValues: vocabulary.enumerated().map { ($1, $0) })
        encoded = try file["text"].string.unicodeScalars.map { scalar in
            guard let token = index[scalar] else { throw JSON.Missing(description: "\(name): \(scalar) unknown") }
            return token
        }
        let cut = Int(Double(encoded.count) * 0.9)
        training = Self.batches(Array(encoded[..<cut]), rows: rows, window: window)
        validation = Self.batches(Array(encoded[cut...]), rows: rows, window: window)
    }

    /// Equal rows; the target is the input shifted by one, the last of a row its first character.
    private static func batches(_ text: [Int], rows: Int, window: Int) -> [(inputs: [Int], targets: [Int])] {
        let length = text.count / (rows * window) * window
        return stride(from: 0, to: length, by: window).map { start in
            let places = (0..<rows).flatMap { row in (start..<start + window).map { (row * length, $0) } }
            return (places.map { text[$0 + $1] }, places.map { text[$0 + ($1 + 1) % length] })
        }
    }

    /// How far Float may part from PyTorch's numbers under `key`: 2e-5, or more where PyTorch's own float32 leaves its
    /// float64 so fast that rounding decides.
    func floatTolerance(_ key: String) throws -> Double {
        let (wide, narrow) = try (file["f64"][key].doubles, file["f32"][key].doubles)
        let own = zip(wide, narrow).map { abs($0 - $1) / max(1, abs($0)) }.max() ?? 0
        return max(2e-5, 4 * own)
    }

    func text(_ tokens: [Int]) -> String {
        String(String.UnicodeScalarView(tokens.map { vocabulary[$0] }))
    }
}
