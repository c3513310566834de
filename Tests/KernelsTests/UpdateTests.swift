import CKernels
import Kernels
import Testing

@Suite("Optimizer updates")
struct UpdateTests {
    private static let update = ls_update(
        clip: 0.5, clamp: .infinity, weight_decay: 0.01, shrink: 0.999, rate: 0.003, one_minus_beta1: 0.1, beta2: 0.99,
        one_minus_beta2: 0.01, bias_correction2_root: 0.3,
        epsilon: 1e-6, momentum: 0.9, one_minus_dampening: 0.7, nesterov: 0, is_first: 0)

    /// Parameters, gradient and up to three positive slots. The first slot is above the second one's squares, as a mean
    /// of squares is above the square of a mean.
    private static func run(
        _ count: Int, _ body: (UnsafeMutablePointer<Float>, UnsafePointer<Float>, [UnsafeMutablePointer<Float>]) -> Void
    ) -> [[Float]] {
        var numbers = TestNumbers(seed: UInt64(count))
        let p = FloatBuffer(numbers.floats(count))
        let g = FloatBuffer(numbers.floats(count))
        let positive = (0..<3).map { _ in numbers.floats(count).map { $0 * $0 + 1 } }
        let slots = [zip(positive[0], positive[1]).map { $0 + $1 * $1 }, positive[1], positive[2]].map {
            FloatBuffer($0)
        }
        body(p.base, g.base, slots.map(\.base))
        return [p.array, g.array] + slots.map(\.array)
    }

    static let counts = [1, 15, 16, 17, 100]

    @Test("Adam, with and without the largest square", arguments: KernelPath.each(counts))
    func adam(path: KernelPath, count: Int) {
        let u = Self.update
        for isLargest in [false, true] {
            let before = Self.run(count) { _, _, _ in }
            let after = Self.run(count) { path.table.adam(count, $0, $1, $2[0], $2[1], isLargest ? $2[2] : nil, u) }
            for j in 0..<count {
                let w = before[0][j] * u.shrink
                let d = before[1][j] * u.clip + w * u.weight_decay
                let m = before[2][j] + u.one_minus_beta1 * (d - before[2][j])
                let v = before[3][j] * u.beta2 + u.one_minus_beta2 * d * d
                let largest = isLargest ? max(v, before[4][j]) : v
                let p = w - u.rate * m / (largest.squareRoot() / u.bias_correction2_root + u.epsilon)
                #expect([after[0][j], after[2][j], after[3][j]].bits == [p, m, v].bits)
                #expect(after[4][j] == (isLargest ? largest : before[4][j]))
            }
        }
    }

    @Test("RMSprop, plain, centered and with momentum", arguments: KernelPath.each(counts))
    func rmsprop(path: KernelPath, count: Int) {
        let u = Self.update
        for (isCentered, hasMomentum) in [(false, false), (true, false), (false, true), (true, true)] {
            let before = Self.run(count) { _, _, _ in }
            let after = Self.run(count) {
                path.table.rmsprop(count, $0, $1, $2[0], isCentered ? $2[1] : nil, hasMomentum ? $2[2] : nil, u)
            }
            for j in 0..<count {
                let d = before[1][j] * u.clip + before[0][j] * u.weight_decay
                let s = before[2][j] * u.beta2 + u.one_minus_beta2 * d * d
                let mean = before[3][j] + u.one_minus_beta2 * (d - before[3][j])
                let divisor = (isCentered ? s - mean * mean : s).squareRoot() + u.epsilon
                let buffer = before[4][j] * u.momentum + d / divisor
                let p = before[0][j] - (hasMomentum ? u.rate * buffer : u.rate * d / divisor)
                #expect(after[0][j].bitPattern == p.bitPattern)
                #expect(after[2][j] == s && after[3][j] == (isCentered ? mean : before[3][j]))
                #expect(after[4][j] == (hasMomentum ? buffer : before[4][j]))
            }
        }
    }

    @Test("SGD, plain, with momentum, its first step and Nesterov's", arguments: KernelPath.each(counts))
    func sgd(path: KernelPath, count: Int) {
        var u = Self.update
        for (hasMomentum, nesterov, first) in [(false, 0, 0), (true, 0, 0), (true, 1, 0), (true, 0, 1), (true, 1, 1)] {
            (u.nesterov, u.is_first) = (Int32(nesterov), Int32(first))
            let before = Self.run(count) { _, _, _ in }
            let after = Self.run(count) { path.table.sgd(count, $0, $1, hasMomentum ? $2[0] : nil, u) }
            for j in 0..<count {
                var d = before[1][j] * u.clip + before[0][j] * u.weight_decay
                let buffer = first == 1 ? d : before[2][j] * u.momentum + u.one_minus_dampening * d
                if hasMomentum { d = nesterov == 1 ? d + u.momentum * buffer : buffer }
                #expect(after[0][j] == before[0][j] - u.rate * d)
                #expect(after[2][j] == (hasMomentum ? buffer : before[2][j]))
            }
        }
    }

    @Test("Each element of a gradient is clamped after the clip coefficient", arguments: KernelPath.each(counts))
    func clamped(path: KernelPath, count: Int) {
        var u = Self.update
        u.clamp = 0.2
        u.weight_decay = 0
        let before = Self.run(count) { _, _, _ in }
        let clamped = before[1].map { max(-0.2, min(0.2, $0 * u.clip)) }
        #expect(count == 1 || clamped.contains { abs($0) == 0.2 } && clamped.contains { abs($0) < 0.2 })
        let sgd = Self.run(count) { p, g, _ in path.table.sgd(count, p, g, nil, u) }
        #expect(sgd[0] == (0..<count).map { before[0][$0] - u.rate * clamped[$0] })
        let rmsprop = Self.run(count) { path.table.rmsprop(count, $0, $1, $2[0], nil, nil, u) }
        #expect(
            rmsprop[2] == (0..<count).map { before[2][$0] * u.beta2 + u.one_minus_beta2 * clamped[$0] * clamped[$0] })
        let adam = Self.run(count) { path.table.adam(count, $0, $1, $2[0], $2[1], nil, u) }
        #expect(adam[2] == (0..<count).map { before[2][$0] + u.one_minus_beta1 * (clamped[$0] - before[2][$0]) })
    }
}
