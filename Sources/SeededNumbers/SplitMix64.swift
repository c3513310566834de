/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a counter through a mixing function, the same from a seed on every
/// machine and in every version. The demo text, its fingerprint and samples depend on it.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    /// A one-to-one function of which every bit hangs on all bits of the value.
    package static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The next number of [0, 1), a multiple of 2^-53.
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number below `bound`, from the upper half of one product: its bias is below `bound / 2^64`.
    package mutating func next(below bound: Int) -> Int {
        precondition(bound > 0)
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }
}
