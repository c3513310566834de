import Kernels
import LanguageModel
import TestSupport
import Testing

@Suite("The reference's gradients are the slopes of its loss")
struct GradientCheckTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var shape: ModelShape
        var rows: Int
        var window: Int
        var dense = false
        var lengths: [Int]?
        var dropout = false

        var testDescription: String {
            "V \(shape.vocabulary) H \(shape.hidden) L \(shape.layers) B \(rows) T \(window)"
                + (shape.bias ? "" : " no bias") + (dense ? " dense" : "") + (lengths == nil ? "" : " lengths")
                + (dropout ? " dropout" : "")
        }
    }

    static let cases = [
        Case(shape: ModelShape(vocabulary: 5, hidden: 3, layers: 2), rows: 2, window: 4),
        Case(shape: ModelShape(vocabulary: 4, hidden: 2, layers: 3), rows: 1, window: 3, dense: true),
        Case(shape: ModelShape(vocabulary: 3, hidden: 4, layers: 1, bias: false), rows: 3, window: 2, dense: true),
        Case(shape: ModelShape(vocabulary: 4, hidden: 3, layers: 2), rows: 3, window: 4, lengths: [4, 0, 2]),
        Case(
            shape: ModelShape(vocabulary: 4, hidden: 3, layers: 2), rows: 3, window: 3, dense: true,
            lengths: [1, 3, 2], dropout: true),
        Case(shape: ModelShape(vocabulary: 6, hidden: 2, layers: 2, bias: false), rows: 2, window: 3, dropout: true),
    ]

    @Test("Central differences agree for every number", arguments: cases)
    func centralDifferences(_ example: Case) throws {
        var random = TorchRandom(seed: 7)
        func numbers(_ count: Int, _ bound: Double) -> [Double] {
            (0..<count).map { _ in random.uniform(from: -bound, to: bound) }
        }
        let shape = example.shape
        let (steps, classes) = (example.rows * example.window, shape.vocabulary)
        let parameters = numbers(ParameterLayout(shape).count, 1)
        let carry = numbers(example.rows * shape.carryCount, 1)
        let dense = numbers(steps * classes, 1)
        let tokens = (0..<steps).map { _ in random.integer(below: UInt32(classes)) }
        let masks = (0..<shape.layers).map { _ in
            (0..<steps * shape.hidden).map { _ in random.integer(below: 2) == 0 ? 0.0 : 2.0 }
        }
        let lengths = example.lengths ?? Array(repeating: example.window, count: example.rows)
        let targets = (0..<steps).map { index -> Int? in
            index % example.window < lengths[index / example.window] ? random.integer(below: UInt32(classes)) : nil
        }
        func forward(
            _ parameters: [Double], _ carry: [Double], _ dense: [Double]
        ) -> (ReferenceForward<Double>, ReferenceCrossEntropy<Double>) {
            let batch = ReferenceBatch<Double>(
                shape: shape, rows: example.rows, window: example.window,
                input: example.dense ? .dense(dense) : .tokens(tokens), carry: carry, lengths: example.lengths,
                masks: example.dropout ? masks : nil)
            let forward = ReferenceLSTM(shape: shape, parameters: parameters).forward(batch)
            return (forward, ReferenceCrossEntropy(logits: forward.logits, targets: targets, classes: classes))
        }
        /// The slope of the loss along each of `values`.
        func slopes(_ values: [Double], _ loss: ([Double]) -> Double) -> [Double] {
            values.indices.map { index in
                var moved = values
                moved[index] = values[index] + 1e-5
                let above = loss(moved)
                moved[index] = values[index] - 1e-5
                return (above - loss(moved)) / 2e-5
            }
        }
        let (there, loss) = forward(parameters, carry, dense)
        let gradient = ReferenceLSTM(shape: shape, parameters: parameters)
            .backward(there, logitGradient: loss.gradient)
        expectClose(
            gradient.parameters, slopes(parameters) { forward($0, carry, dense).1.mean }, 1e-8, "parameters")
        expectClose(gradient.carry, slopes(carry) { forward(parameters, $0, dense).1.mean }, 1e-8, "carry")
        if example.dense {
            let input = try #require(gradient.input)
            expectClose(input, slopes(dense) { forward(parameters, carry, $0).1.mean }, 1e-8, "input")
        }
    }

    @Test("Steps past a row's length change nothing")
    func lengths() {
        let shape = ModelShape(vocabulary: 4, hidden: 3, layers: 2)
        var random = TorchRandom(seed: 3)
        let parameters = (0..<ParameterLayout(shape).count).map { _ in random.uniform(from: -1.0, to: 1) }
        let model = ReferenceLSTM(shape: shape, parameters: parameters)
        let carry = (0..<2 * shape.carryCount).map { _ in random.uniform(from: -1.0, to: 1) }
        let short = model.forward(
            ReferenceBatch(shape: shape, rows: 2, window: 2, input: .tokens([1, 2, 3, 0]), carry: carry))
        let long = model.forward(
            ReferenceBatch(
                shape: shape, rows: 2, window: 3, input: .tokens([1, 2, 3, 3, 0, 1]), carry: carry, lengths: [2, 2]))
        #expect(long.carry == short.carry)
        #expect(Array(long.logits[0..<8]) == Array(short.logits[0..<8]))
        #expect(long.logits[8..<12].allSatisfy { $0 == 0 } && long.output[6..<9].allSatisfy { $0 == 0 })
        let idle = model.forward(
            ReferenceBatch(
                shape: shape, rows: 2, window: 2, input: .tokens([1, 2, 3, 0]), carry: carry, lengths: [0, 2]))
        #expect(idle.carry[..<shape.carryCount] == carry[..<shape.carryCount])
        #expect(idle.carry[shape.carryCount...] == short.carry[shape.carryCount...])
    }

    @Test("A lookup has the bits of the dense product with a one-hot vector")
    func oneHot() throws {
        let shape = ModelShape(vocabulary: 7, hidden: 5, layers: 2)
        let layout = ParameterLayout(shape)
        let parameters = Initializer.uniform(0.9).initialise(layout: layout, shape: shape, seed: 5, forgetBias: nil)
        let model = ReferenceLSTM(shape: shape, parameters: (0..<layout.count).map { parameters[$0] })
        let tokens = [0, 6, 3, 3, 1, 5, 2, 0, 4, 6, 1, 1]
        let dense = try OneHotTensor(tokens.map(UInt32.init), shape: [3, 4], vocabulary: 7).values
        func bits(_ input: ReferenceBatch<Float>.Input) -> [[UInt32]] {
            let forward = model.forward(ReferenceBatch(shape: shape, rows: 3, window: 4, input: input))
            let loss = ReferenceCrossEntropy(logits: forward.logits, targets: tokens.reversed(), classes: 7)
            let gradient = model.backward(forward, logitGradient: loss.gradient)
            return [forward.logits, forward.carry, gradient.parameters, gradient.carry].map { $0.map(\.bitPattern) }
        }
        #expect(bits(.tokens(tokens)) == bits(.dense(dense)))
    }
}
