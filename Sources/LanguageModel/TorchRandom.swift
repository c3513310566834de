/// PyTorch's CPU generator: the Mersenne Twister MT19937, seeded as `torch.manual_seed` seeds it.
///
/// A model made here starts from the same bits as one made by PyTorch with the same seed.
package struct TorchRandom: Sendable {
    private static let size = 624
    private static let offset = 397

    private var state: [UInt32]
    private var position = TorchRandom.size

    /// - Parameter seed: only the low 32 bits count, as in PyTorch.
    package init(seed: UInt64) {
        state = [UInt32](repeating: 0, count: Self.size)
        state[0] = UInt32(truncatingIfNeeded: seed)
        for index in 1..<Self.size {
            let previous = state[index - 1]
            state[index] = 1_812_433_253 &* (previous ^ (previous >> 30)) &+ UInt32(index)
        }
    }

    /// The next 32 bits.
    package mutating func next32() -> UInt32 {
        if position == Self.size { refill() }
        var word = state[position]
        position += 1
        word ^= word >> 11
        word ^= (word << 7) & 0x9d2c_5680
        word ^= (word << 15) & 0xefc6_0000
        return word ^ (word >> 18)
    }

    /// `torch.Tensor.uniform_` for one float32 element: one draw, 24 bits of it, and a single rounding, as PyTorch
    /// computes it on a CPU with fused multiply-add.
    package mutating func uniform(from low: Float, to high: Float) -> Float {
        let unit = Float(next32() & 0xff_ffff) * 0x1p-24
        return low.addingProduct(unit, high - low)
    }

    private mutating func refill() {
        for index in 0..<Self.size {
            let next = state[(index + 1) % Self.size]
            let mixed = (state[index] & 0x8000_0000) | (next & 0x7fff_ffff)
            let twist: UInt32 = next & 1 == 0 ? 0 : 0x9908_b0df
            state[index] = state[(index + Self.offset) % Self.size] ^ (mixed >> 1) ^ twist
        }
        position = 0
    }
}
