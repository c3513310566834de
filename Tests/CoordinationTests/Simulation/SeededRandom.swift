/// SplitMix64: the whole simulation is a function of its seed.
struct SeededRandom: RandomNumberGenerator, Hashable {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return mix(state)
    }
    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
}

func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

func mix(_ values: [UInt64]) -> UInt64 { values.reduce(0x1234_5678) { mix($0 &* 31 &+ $1) } }
