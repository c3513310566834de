import CKernels
import Foundation
import Testing

@Suite("The LSTM cell")
struct CellTests {
    static let sizes = [1, 2, 5, 15, 16, 17, 100, 130]

    @Test("A step forward and back follows the formulas", arguments: KernelPath.each(sizes))
    func formulas(path: KernelPath, hidden: Int) {
        var numbers = TestNumbers(seed: UInt64(hidden))
        let sums = numbers.floats(4 * hidden, times: 4)
        let previous = numbers.floats(hidden, times: 2)
        let dh = numbers.floats(hidden)
        let later = numbers.floats(hidden)
        let width = path.table.panel_width
        var h: [Float] = []
        var c: [Float] = []
        var gradient: [Float] = []
        var dc: [Float] = []
        let gates = withMargins(4 * hidden) { gates in
            for (index, value) in sums.enumerated() { gates[index] = value }
            c = withMargins(hidden) { c in
                h = withMargins(hidden) { path.table.cell_forward(hidden, gates, previous, c, $0, width) }
            }
        }
        gradient = withMargins(4 * hidden) { g in
            for (index, value) in gates.enumerated() { g[index] = value }
            dc = withMargins(hidden) { dc in
                for (index, value) in later.enumerated() { dc[index] = value }
                path.table.cell_backward(hidden, g, previous, c, dh, dc)
            }
        }
        let sigmoid = { (x: Float) in 1 / (1 + exp(-Double(x))) }
        func expect(_ value: Float, _ exact: Double) {
            #expect(abs(Double(value) - exact) <= 2e-6 * max(1, abs(exact)))
        }
        for j in 0..<hidden {
            let (i, f, o) = (sigmoid(sums[j]), sigmoid(sums[hidden + j]), sigmoid(sums[3 * hidden + j]))
            let u = tanh(Double(sums[2 * hidden + j]))
            let state = f * Double(previous[j]) + i * u
            for (index, value) in [i, f, u, o].enumerated() { expect(gates[index * hidden + j], value) }
            expect(c[j], state)
            expect(h[j], o * tanh(state))
            let t = tanh(state)
            let d = Double(later[j]) + Double(dh[j]) * o * (1 - t * t)
            expect(gradient[j], d * u * i * (1 - i))
            expect(gradient[hidden + j], d * Double(previous[j]) * f * (1 - f))
            expect(gradient[2 * hidden + j], d * i * (1 - u * u))
            expect(gradient[3 * hidden + j], Double(dh[j]) * t * o * (1 - o))
            expect(dc[j], d * f)
        }
        #expect(result(path, hidden) == result(KernelPath.all[0], hidden), "paths agree bit for bit")
        var again = sums
        var state = c
        let apart = Groups(of: hidden, width: width)
        let spread = withMargins(apart.count) {
            path.table.cell_forward(hidden, &again, previous, &state, $0, apart.group)
        }
        #expect(spread == apart.spread(h), "runs of units some floats apart, and nothing between them")
    }

    private func result(_ path: KernelPath, _ hidden: Int) -> [UInt32] {
        var numbers = TestNumbers(seed: 77)
        var gates = numbers.floats(4 * hidden, times: 6)
        let previous = numbers.floats(hidden, times: 3)
        let dh = numbers.floats(hidden)
        var dc = numbers.floats(hidden)
        var c = [Float](repeating: 0, count: hidden)
        var h = c
        path.table.cell_forward(hidden, &gates, previous, &c, &h, path.table.panel_width)
        let forward = gates + c + h
        path.table.cell_backward(hidden, &gates, previous, c, dh, &dc)
        return (forward + gates + dc).bits
    }
}
