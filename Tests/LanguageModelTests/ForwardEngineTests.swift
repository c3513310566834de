import Kernels
import LanguageModel
import Testing

@Suite("The forward engine")
struct ForwardEngineTests {
    @Test("Neither threads nor the rows beside a row show in its logits and state", arguments: [5, 37, 300])
    func threads(hidden: Int) {
        let shape = ModelShape(vocabulary: 19, hidden: hidden, layers: 2)
        let layout = ParameterLayout(shape)
        let parameters = Initializer.torch.initialise(layout: layout, shape: shape, seed: 3, forgetBias: nil)
        func run(rows: [Int], threads: Int) -> (logits: [Float], carry: [Float]) {
            let engine = ForwardEngine(shape: shape, parameters: parameters, threads: threads)
            let state = ForwardState(shape: shape, rows: rows.count)
            var logits: [Float] = []
            for time in 0..<4 {
                engine.step(tokens: rows.map { UInt32(($0 * 7 + time * 5) % 19) }, state)
                logits += rows.indices.flatMap { state.logits(row: $0) }
            }
            return (logits, state.carry)
        }
        for count in [1, 2, 3, 9] {
            let rows = Array(0..<count)
            let one = run(rows: rows, threads: 1)
            #expect(Set(one.logits).count > 19)
            for threads in [2, 3] {
                let some = run(rows: rows, threads: threads)
                #expect(some.logits == one.logits, "\(count) rows, \(threads) threads")
                #expect(some.carry == one.carry)
            }
            let alone = run(rows: [count - 1], threads: 1)
            #expect(Array(one.carry.suffix(shape.carryCount)) == alone.carry)
            #expect(Array(one.logits.suffix(19)) == Array(alone.logits.suffix(19)))
        }
    }
}
