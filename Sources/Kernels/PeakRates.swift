import CKernels

// What one thread can do at most: the peak rates that kernels are measured against.

/// Fused multiply-adds of the calling thread, as operations a second, two each.
///
/// - Parameter seconds: how long to measure.
package func multiplyAddRate(seconds: Double) -> Double {
    rate(seconds: seconds) { InstructionSet.table.pointee.multiply_adds(20_000) }
}

/// Bytes a second that the calling thread reads when it goes through a buffer again and again.
package func readRate(of buffer: FloatBuffer, seconds: Double) -> Double {
    // The sum goes nowhere; the call is opaque to the compiler all the same.
    rate(seconds: seconds) {
        _ = InstructionSet.table.pointee.read_all(buffer.count, buffer.base)
        return Double(buffer.count * MemoryLayout<Float>.stride)
    }
}

/// The amount of work done per second, for at least `seconds`.
private func rate(seconds: Double, _ work: () -> Double) -> Double {
    let start = ContinuousClock.now
    var amount = 0.0
    var elapsed = 0.0
    repeat {
        amount += work()
        elapsed = (ContinuousClock.now - start) / .seconds(1)
    } while elapsed < seconds
    return amount / elapsed
}
