import CKernels
import Foundation
import Kernels
import Testing

@Suite("Elementary functions")
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

    @Test("exp, tanh and the sigmoid stay within 2.5 units in the last place", arguments: KernelPath.all)
    func accuracy(path: KernelPath) {
        let kernels = path.table
        var random = TestNumbers(seed: 3)
        func largestError(
            _ range: ClosedRange<Float>, _ kernel: (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void,
            _ exact: (Double) -> Double
        ) -> Double {
            let x = (0..<200_000).map { _ in Float.random(in: range, using: &random) }
            var y = [Float](repeating: 0, count: x.count)
            kernel(x.count, x, &y)
            return zip(x, y).map { abs(Double($1) - exact(Double($0))) / Double(Float(exact(Double($0))).ulp) }.max()!
        }
        #expect(largestError(-80...80, kernels.exponential, exp) < 2.5)
        #expect(largestError(-10...10, kernels.hyperbolic_tangent, tanh) < 2.5)
        #expect(largestError(-0.7...0.7, kernels.hyperbolic_tangent, tanh) < 2.5)
        #expect(largestError(-20...20, kernels.sigmoid) { 1 / (1 + exp(-$0)) } < 2.5)
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

    /// The exponential of doubles, one by one.
    private func plainExponential(_ x: Double) -> Double {
        guard !x.isNaN else { return x }
        guard x < 709.782712893384 else { return .infinity }
        guard x > -745.2 else { return 0 }
        let n = (x * 0x1.71547652b82fep0).rounded(.toNearestOrEven)
        let r = x.addingProduct(-n, 0x1.62e42fefa3800p-1).addingProduct(-n, 0x1.ef35793c76730p-45)
        var sum = 1.0
        for k in stride(from: 16, through: 1, by: -1) { sum = 1.0.addingProduct(sum, r / Double(k)) }
        let half = (n / 2).rounded(.down)
        return sum * Double(sign: .plus, exponent: Int(half), significand: 1)
            * Double(sign: .plus, exponent: Int(n - half), significand: 1)
    }

    @Test("Exponentials of doubles have the bits of the plain formula, wherever they stand", arguments: KernelPath.all)
    func exponentialsOfDoubles(path: KernelPath) {
        var random = TestNumbers(seed: 8)
        let corners: [Double] = [
            0, -0.0, .nan, -Double.nan, .infinity, -.infinity, 709.782712893384, 709.78, 710, 1e300, -745.2, -745.1,
            -746, -1e300, -708.5, -740, .leastNonzeroMagnitude,
        ]
        for count in [1, 2, 15, 16, 17, 83, 2000] {
            let drawn = (0..<count).map { _ in Double.random(in: -750...712, using: &random) }
            for values in [drawn, Array(corners.prefix(count))] {
                // What lies behind is to stay.
                var results = values + [7, 7]
                path.table.exponential_of_doubles(values.count, &results)
                #expect(results.suffix(2) == [7, 7])
                for (x, result) in zip(values, results) {
                    let wanted = plainExponential(x)
                    #expect(result.bitPattern == wanted.bitPattern, "\(x)")
                }
            }
        }
    }

    @Test("Exponential and cosine in Double are right to the last places")
    func deterministicMath() {
        var random = TestNumbers(seed: 6)
        for _ in 0..<20_000 {
            let x = Double.random(in: -700...700, using: &random)
            #expect(abs(DeterministicMath.exp(x) / Foundation.exp(x) - 1) < 1e-15 * max(1, abs(x) / 100))
            let angle = Double.random(in: 0...20, using: &random)
            #expect(abs(DeterministicMath.cosine(angle) - Foundation.cos(angle)) < 1e-15)
        }
    }
}
