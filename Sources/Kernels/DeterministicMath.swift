/// Elementary functions in Double from explicit fused multiply-adds: the same bits on every machine, which no libm
/// promises. For schedules and sampling; the training path has its own in single precision.
package enum DeterministicMath {
    private static let ln2High = 0x1.62e42fefa3800p-1
    private static let ln2Low = 0x1.ef35793c76730p-45

    /// The natural logarithm, to about one unit in the last place.
    ///
    /// - Returns: -infinity for 0, NaN for a negative number or NaN.
    package static func log(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x.isFinite else { return x }
        var exponent = x.exponent
        var m = x.significand
        if m > 0x1.6a09e667f3bcdp0 {
            m *= 0.5
            exponent += 1
        }
        // log m = 2 atanh s with s = (m - 1) / (m + 1), |s| < 0.1716: the series ends below 1e-18.
        let s = (m - 1) / (m + 1)
        let z = s * s
        var sum = 1.0 / 25
        for denominator in stride(from: 23, through: 3, by: -2) {
            sum = (1 / Double(denominator)).addingProduct(sum, z)
        }
        let tail = (2 * s).addingProduct(2 * s * z, sum)
        let e = Double(exponent)
        return (e * ln2High) + tail.addingProduct(e, ln2Low)
    }

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
