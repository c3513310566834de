import LanguageModel

/// What PyTorch draws beside the floats that a model begins with: it shows that the stream is PyTorch's, and makes examples.
extension TorchRandom {
    /// The next 64 bits: two draws, the high half first.
    mutating func next64() -> UInt64 {
        let high = UInt64(next32())
        return high << 32 | UInt64(next32())
    }

    /// `torch.Tensor.uniform_` for one float64 element: two draws, 53 bits of them.
    mutating func uniform(from low: Double, to high: Double) -> Double {
        let unit = Double(next64() & 0x1f_ffff_ffff_ffff) * 0x1p-53
        return low.addingProduct(unit, high - low)
    }

    /// `torch.randint(0, bound)` for one element.
    mutating func integer(below bound: UInt32) -> Int {
        precondition(bound > 0)
        return Int(next32() % bound)
    }

    /// `torch.randperm(count)`.
    mutating func permutation(count: Int) -> [Int] {
        var result = Array(0..<count)
        for index in 0..<max(count - 1, 0) {
            result.swapAt(index, index + integer(below: UInt32(count - index)))
        }
        return result
    }
}
