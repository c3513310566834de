import LanguageModel
import TestSupport
import Testing

@Suite("Parity of the LSTM with PyTorch")
struct LSTMParityTests {
    @Test("Every kind of fixture is there")
    func fixturesArePresent() {
        let found = Fixtures.kinds.filter { !Fixtures.names($0).isEmpty }
        #expect(Fixtures.isDefault ? found == Fixtures.kinds : !found.isEmpty)
    }

    @Test(
        "The reference in Double agrees on outputs, states, loss and all gradients",
        arguments: Fixtures.names("lstm_f64"))
    func double(name: String) throws { try check(name, Double.self, tolerance: 1e-12) }

    @Test(
        "The reference in Float agrees on outputs, states, loss and all gradients",
        arguments: Fixtures.names("lstm_f32"))
    func float(name: String) throws { try check(name, Float.self, tolerance: 2e-6) }

    private func check<Scalar: ReferenceScalar>(_ name: String, _: Scalar.Type, tolerance: Double) throws {
        let file = try Fixtures.json(name)
        let config = try file["config"]
        let shape = try ModelShape(config)
        let (rows, window) = try (config["B"].int, config["T"].int)
        let model = ReferenceLSTM<Scalar>(
            shape: shape, parameters: try ParameterLayout(shape).flatten(file["parameters"]))
        let start: [Scalar] = carry(
            hidden: try file["h0"].scalars(), cell: try file["c0"].scalars(), rows: rows, shape: shape)
        let targets = try file["target"].ints
        let cases = try file["cases"]
        #expect(!cases.keys.isEmpty)
        for key in cases.keys {
            let wanted = try cases[key]
            func close(_ values: [Scalar], _ field: String) throws {
                expectClose(values, try wanted[field].doubles, tolerance, "\(name) \(key) \(field)")
            }
            let input: ReferenceBatch<Scalar>.Input =
                key.hasPrefix("dense")
                ? .dense(try file["x_dense"].scalars()) : .tokens(try file["x_index"].ints)
            let batch = ReferenceBatch(
                shape: shape, rows: rows, window: window, input: input,
                carry: key.hasSuffix("zero_state") ? nil : start)
            let forward = model.forward(batch)
            let loss = ReferenceCrossEntropy(logits: forward.logits, targets: targets, classes: shape.vocabulary)
            let gradient = model.backward(forward, logitGradient: loss.gradient)
            let last = pair(carry: forward.carry, rows: rows, shape: shape)
            let first = pair(carry: gradient.carry, rows: rows, shape: shape)
            try close(forward.output, "output")
            try close(last.hidden, "hn")
            try close(last.cell, "cn")
            try close(forward.logits, "logits")
            try close([loss.mean], "loss")
            try close([loss.mean / Scalar.naturalLogarithm(2)], "bits_per_char")
            try close(first.hidden, "grad_h0")
            try close(first.cell, "grad_c0")
            for entry in model.layout.entries {
                expectClose(
                    Array(gradient.parameters[entry.range]), try wanted["grad"][entry.name].doubles, tolerance,
                    "\(name) \(key) \(entry.name)")
            }
            if let input = gradient.input {
                try close(input, "grad_x")
            } else {
                #expect(wanted[optional: "grad_x"] == nil)
            }
        }
    }
}
