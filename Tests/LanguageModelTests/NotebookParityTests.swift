import Kernels
import LanguageModel
import TestSupport
import Testing

@Suite("Parity with the notebook")
struct NotebookParityTests {
    @Test(
        "Weights come from the seed, and the cell unrolled by hand is the LSTM", arguments: Fixtures.names("notebook"))
    func notebook(name: String) throws {
        let file = try Fixtures.json(name)
        let shape = try ModelShape(
            vocabulary: file["input_size"].int, hidden: file["hidden_size"].int, layers: 1, bias: file["bias"].bool)
        let layout = ParameterLayout(shape)
        let (rows, window) = try (file["batch_size"].int, file["seq_len"].int)
        let drawn = Initializer.torch.initialise(
            layout: layout, shape: shape, seed: UInt64(try file["seed"].int), forgetBias: nil
        ).array
        for weight in ["weight_ih_l0", "weight_hh_l0"] {
            #expect(Array(drawn[layout["lstm.\(weight)"]!.range]) == (try file[weight].scalars(as: Float.self)))
        }
        let model = ReferenceLSTM(shape: shape, parameters: drawn)
        let cell = model.cell(layer: 0)
        let (exact, printed) = try (file["exact"], file["printed"])
        let zero = [Float](repeating: 0, count: shape.hidden)
        func close(_ values: [Float], _ field: String) throws {
            expectClose(values, try exact[field].doubles, 2e-7, field)
            expectClose(values, try printed[field].doubles, 5.1e-5, field)
        }

        let tokens = try (file["batching"]["batch1"].ints, file["batching"]["batch2"].ints)
        let firsts = (0..<rows).map { cell.forward(.token(tokens.0[$0 * window]), hidden: zero, cell: zero) }
        try close(Array(drawn.prefix(5)), "weight_ih_l0_row0_first5")
        try close(firsts.flatMap(\.hidden), "h_man")
        try close(firsts.flatMap(\.cell), "c_man")

        let forward = model.forward(
            ReferenceBatch(shape: shape, rows: rows, window: window, input: .tokens(tokens.1)))
        let last = pair(carry: forward.carry, rows: rows, shape: shape)
        try close(last.hidden, "second_batch_h")
        try close(last.cell, "second_batch_c")
        try close(Array(forward.output.prefix(window * shape.hidden)), "second_batch_row0_h_per_step")
        for row in 0..<rows {
            var state = (hidden: zero, cell: zero)
            for time in 0..<window {
                let index = row * window + time
                let step = cell.forward(.token(tokens.1[index]), hidden: state.hidden, cell: state.cell)
                state = (step.hidden, step.cell)
                #expect(Array(forward.output[index * shape.hidden..<(index + 1) * shape.hidden]) == state.hidden)
            }
            #expect(Array(last.cell[row * shape.hidden..<(row + 1) * shape.hidden]) == state.cell)
        }
    }
}
