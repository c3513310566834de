import CKernels

/// Elementary functions in Double from explicit fused multiply-adds: the same bits on every machine, which no libm
/// promises. For the scalars of a step, sampling and perplexities.
package enum DeterministicMath {
    /// e to the power `x`, to about one unit in the last place; infinity above 709.78, 0 below -745.
    package static func exp(_ x: Double) -> Double {
        var result = x
        InstructionSet.table.pointee.exponential_of_doubles(1, &result)
        return result
    }

    /// The same of each value, in place.
    package static func exp(of values: inout [Double]) {
        InstructionSet.table.pointee.exponential_of_doubles(values.count, &values)
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
