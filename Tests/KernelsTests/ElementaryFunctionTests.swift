import CKernels
import Foundation
import Testing

@Suite("Elementary functions at their ends")
struct ElementaryFunctionTests {
    /// Samples of a range, dense near 0.
    static func samples(limit: Float) -> [Float] {
        var numbers = TestNumbers(seed: 1)
        var values: [Float] = [0, -0.0, limit, -limit, 0.625, -0.625, 0.62499994]
        for exponent in -30..<7 {
            values += numbers.floats(300, times: Float(sign: .plus, exponent: exponent, significand: 1))
        }
        return values.filter { abs($0) <= limit }
    }

    private func apply(
        _ kernel: (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void, _ x: [Float]
    ) -> [Float] {
        withMargins(x.count) { kernel(x.count, x, $0) }
    }

    @Test("Ends and NaN", arguments: KernelPath.all)
    func ends(path: KernelPath) {
        let x: [Float] = [.infinity, 1000, -1000, -.infinity, .nan]
        let tanh = apply(path.table.hyperbolic_tangent, x)
        #expect(tanh[..<4] == [1, 1, -1, -1] && tanh[4].isNaN)
        let sigmoid = apply(path.table.sigmoid, x)
        #expect(sigmoid[..<2] == [1, 1] && sigmoid[2...3].allSatisfy { (0..<1e-37).contains($0) } && sigmoid[4].isNaN)
        let exp = apply(path.table.exponential, x)
        #expect(exp[..<2].allSatisfy { $0 > 1e38 } && exp[2...3].allSatisfy { (0..<1e-37).contains($0) })
        #expect(exp[4].isNaN)
    }

    @Test("All paths give the same bits", arguments: KernelPath.all)
    func paths(path: KernelPath) {
        let x = Self.samples(limit: 200)
        let best = KernelPath.all[0].table
        #expect(apply(path.table.exponential, x).bits == apply(best.exponential, x).bits)
        #expect(apply(path.table.hyperbolic_tangent, x).bits == apply(best.hyperbolic_tangent, x).bits)
        #expect(apply(path.table.sigmoid, x).bits == apply(best.sigmoid, x).bits)
    }

    @Test("The logarithm of the loss is right to a few units in the last place, and NaN where there is none")
    func logarithm() {
        var numbers = TestNumbers(seed: 3)
        for _ in 0..<2000 {
            let x = pow(2, Double(numbers.float()) * 100)
            #expect(abs(ls_log(x) - log(x)) <= 4 * max(log(x).ulp, 1e-16))
        }
        #expect(ls_log(1) == 0)
        #expect(ls_log(.nan).isNaN && ls_log(-1).isNaN && ls_log(.infinity).isNaN && ls_log(0).isNaN)
    }
}
