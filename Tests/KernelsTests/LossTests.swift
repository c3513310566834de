import CKernels
import Foundation
import Testing

@Suite("The loss of a token")
struct LossTests {
    static let sizes = [2, 3, 15, 16, 17, 83, 1000]

    @Test("Loss and gradient are those of softmax and cross-entropy", arguments: KernelPath.each(sizes))
    func formulas(path: KernelPath, vocabulary: Int) {
        var numbers = TestNumbers(seed: UInt64(vocabulary))
        for scale in [Float(0.1), 5, 60] {
            let logits = numbers.floats(vocabulary, times: scale)
            let target = UInt32(numbers.next() % UInt64(vocabulary))
            let largest = Double(logits.max()!)
            let powers = logits.map { exp(Double($0) - largest) }
            let sum = powers.reduce(0, +)
            let wanted = log(sum) + largest - Double(logits[Int(target)])
            var loss = 0.0
            let gradient = withMargins(vocabulary) { out in
                for (index, value) in logits.enumerated() { out[index] = value }
                loss = path.table.softmax_loss(vocabulary, out, target, 0.25)
            }
            #expect(abs(loss - wanted) <= 3e-7 * max(1, wanted))
            #expect(path.table.loss(vocabulary, logits, target) == loss)
            for (index, value) in gradient.enumerated() {
                let exact = 0.25 * (powers[index] / sum - (index == target ? 1 : 0))
                #expect(abs(Double(value) - exact) < 1e-6)
            }
            var first = logits
            let other = KernelPath.all[0].table.softmax_loss(vocabulary, &first, target, 0.25)
            #expect(loss == other && gradient.bits == first.bits, "paths agree bit for bit")
        }
    }

    @Test("A logit that is no number makes the loss none, wherever it stands", arguments: KernelPath.all)
    func notANumber(path: KernelPath) {
        for place in [0, 1, 19] {
            for value in [Float.nan, .infinity] {
                var logits = [Float](repeating: 1, count: 20)
                logits[place] = value
                #expect(!path.table.loss(20, logits, 2).isFinite)
                #expect(!path.table.softmax_loss(20, &logits, 2, 1).isFinite)
            }
        }
    }
}
