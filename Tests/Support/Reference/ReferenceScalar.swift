import Foundation

/// The arithmetic of the readable reference: Double to hold formulas against, Float to hold the fast path against.
///
/// It takes its functions from the platform, so its bits differ between machines. Nothing that trains uses it.
package protocol ReferenceScalar: BinaryFloatingPoint, LosslessStringConvertible, Sendable {
    /// These three as libm has them.
    static func exponential(_ value: Self) -> Self
    static func hyperbolicTangent(_ value: Self) -> Self
    static func naturalLogarithm(_ value: Self) -> Self

    /// `start + a[0] b[0] + a[1] b[1] + ...`, one chain of fused multiply-adds in ascending order.
    ///
    /// A requirement, and not an extension, because a generic loop is a hundred times slower in a debug build.
    static func chain(_ start: Self, _ first: Strided<Self>, _ second: Strided<Self>, count: Int) -> Self
}

/// Every `stride`-th value of an array, from `offset` on.
package struct Strided<Scalar: Sendable>: Sendable {
    package let values: [Scalar]
    package let offset: Int
    package let stride: Int

    package init(_ values: [Scalar], from offset: Int = 0, stride: Int = 1) {
        self.values = values
        self.offset = offset
        self.stride = stride
    }

    /// The index one past the last of `count` values that are taken.
    fileprivate func end(_ count: Int) -> Int { count == 0 ? offset : offset + (count - 1) * stride + 1 }
}

extension Double: ReferenceScalar {
    package static func exponential(_ value: Double) -> Double { exp(value) }
    package static func hyperbolicTangent(_ value: Double) -> Double { tanh(value) }
    package static func naturalLogarithm(_ value: Double) -> Double { log(value) }

    package static func chain(
        _ start: Double, _ first: Strided<Double>, _ second: Strided<Double>, count: Int
    ) -> Double {
        precondition(first.end(count) <= first.values.count && second.end(count) <= second.values.count)
        return first.values.withUnsafeBufferPointer { a in
            second.values.withUnsafeBufferPointer { b in
                var (sum, i, j, rest) = (start, first.offset, second.offset, count)
                while rest > 0 {
                    sum = sum.addingProduct(a[i], b[j])
                    i &+= first.stride
                    j &+= second.stride
                    rest &-= 1
                }
                return sum
            }
        }
    }
}

extension Float: ReferenceScalar {
    package static func exponential(_ value: Float) -> Float { exp(value) }
    package static func hyperbolicTangent(_ value: Float) -> Float { tanh(value) }
    package static func naturalLogarithm(_ value: Float) -> Float { log(value) }

    package static func chain(
        _ start: Float, _ first: Strided<Float>, _ second: Strided<Float>, count: Int
    ) -> Float {
        precondition(first.end(count) <= first.values.count && second.end(count) <= second.values.count)
        return first.values.withUnsafeBufferPointer { a in
            second.values.withUnsafeBufferPointer { b in
                var (sum, i, j, rest) = (start, first.offset, second.offset, count)
                while rest > 0 {
                    sum = sum.addingProduct(a[i], b[j])
                    i &+= first.stride
                    j &+= second.stride
                    rest &-= 1
                }
                return sum
            }
        }
    }
}
