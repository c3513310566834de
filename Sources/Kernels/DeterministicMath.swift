/// Elementary functions in Double from explicit fused multiply-adds: the same bits on every machine, which no libm
/// promises. For the scalars of a step, sampling and perplexities; what runs over whole rows is in the kernels.
package enum DeterministicMath {
    private static let ln2High = 0x1.62e42fefa3800p-1
    private static let ln2Low = 0x1.ef35793c76730p-45

    /// e to the power `x`, to about one unit in the last place; infinity above 709.78, 0 below -745.
    package static func exp(_ x: Double) -> Double {
        guard !x.isNaN else { return x }
        guard x < 709.782712893384 else { return .infinity }
        guard x > -745.2 else { return 0 }
        let n = (x * 0x1.71547652b82fep0).rounded(.toNearestOrEven)
        let r = x.addingProduct(-n, ln2High).addingProduct(-n, ln2Low)
        // Taylor: |r| < 0.3466, and r^16 / 16! is below 1e-20.
        var sum = 1.0
        for k in stride(from: 16, through: 1, by: -1) { sum = 1.0.addingProduct(sum, r / Double(k)) }
        // In two factors, so that results below the normal range round once.
        let half = (n / 2).rounded(.down)
        return sum * power2(Int(half)) * power2(Int(n - half))
    }

    /// `base` to a whole power by repeated squaring: the platform's `pow` differs between machines in the last bit.
    package static func power(_ base: Double, _ exponent: UInt64) -> Double {
        var result = 1.0
        var square = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result *= square }
            square *= square
            rest >>= 1
        }
        return result
    }

    private static func power2(_ exponent: Int) -> Double {
        Double(sign: .plus, exponent: exponent, significand: 1)
    }

    /// The cosine of `x` radians for |x| up to about 1e6, to about 1e-16.
    package static func cosine(_ x: Double) -> Double {
        guard x.isFinite else { return .nan }
        let n = (x / .pi).rounded(.toNearestOrEven)
        // pi in two parts: Double.pi and what it lacks.
        let r = x.addingProduct(-n, Double.pi).addingProduct(-n, 1.2246467991473532e-16)
        let z = r * r
        var sum = 1.0
        for k in stride(from: 24, through: 2, by: -2) { sum = 1.0.addingProduct(sum, -z / Double(k * (k - 1))) }
        return n.truncatingRemainder(dividingBy: 2) == 0 ? sum : -sum
    }
}
