import SeededNumbers

// The whole simulation is a function of its seed.
extension SplitMix64 {
    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
}

func mix(_ value: UInt64) -> UInt64 { SplitMix64.mixed(value) }

func mix(_ values: [UInt64]) -> UInt64 { values.reduce(0x1234_5678) { mix($0 &* 31 &+ $1) } }
