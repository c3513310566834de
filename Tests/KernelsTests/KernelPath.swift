import CKernels
import Kernels
import SeededNumbers
import Testing

/// One compiled copy of the kernels that this processor runs.
struct KernelPath: CustomTestStringConvertible, @unchecked Sendable {
    // @unchecked: the table is a constant.
    let name: String
    let table: ls_kernels

    var testDescription: String { name }

    static let all: [KernelPath] = InstructionSet.available.map {
        KernelPath(name: $0, table: try! InstructionSet.table(named: $0).pointee)
    }
    /// Every path with every case.
    static func each<Case>(_ cases: [Case]) -> [(KernelPath, Case)] {
        all.flatMap { path in cases.map { (path, $0) } }
    }
}

/// Numbers that are the same in every run.
struct TestNumbers: RandomNumberGenerator {
    private var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func next() -> UInt64 { random.next() }

    /// Uniform in [-1, 1).
    mutating func float() -> Float { Float(Int64(bitPattern: next()) >> 40) / Float(1 << 23) }

    mutating func floats(_ count: Int, times scale: Float = 1) -> [Float] { (0..<count).map { _ in float() * scale } }
}

extension [Float] {
    var bits: [UInt32] { map(\.bitPattern) }
}

/// Expects that a kernel left what lies around its result alone.
func withMargins(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
    let margin = 40
    var values = [Float](repeating: 12345, count: count + 2 * margin)
    for index in 0..<count { values[margin + index] = 0 }
    values.withUnsafeMutableBufferPointer { body($0.baseAddress! + margin) }
    #expect(values[..<margin].allSatisfy { $0 == 12345 } && values[(margin + count)...].allSatisfy { $0 == 12345 })
    return Array(values[margin..<margin + count])
}

/// Runs of as many columns as a panel has, some floats further apart than they are long.
struct Groups {
    let width: Int
    let group: Int
    /// Floats up to the last column.
    let count: Int

    init(of columns: Int, width: Int) {
        self.width = width
        group = width + 7
        count = (columns - 1) / width * group + (columns - 1) % width + 1
    }

    func place(_ column: Int) -> Int { column / width * group + column % width }

    /// One row, zeros between the runs.
    func spread(_ row: [Float]) -> [Float] {
        var result = [Float](repeating: 0, count: count)
        for (column, value) in row.enumerated() { result[place(column)] = value }
        return result
    }
}
