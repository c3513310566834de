import CKernels
import Kernels
import Testing

@Suite("Sums, checks and digests")
struct ElementwiseTests {
    static let counts = [0, 1, 15, 16, 17, 63, 64, 65, 200]

    @Test("Squares are summed in 16 lanes, lanes in pairs", arguments: KernelPath.each(counts))
    func squares(path: KernelPath, count: Int) {
        var numbers = TestNumbers(seed: 2)
        let x = numbers.floats(count, times: 1000)
        var lanes = [Double](repeating: 0, count: 16)
        for (index, value) in x.enumerated() { lanes[index % 16] += Double(value) * Double(value) }
        for width in [8, 4, 2, 1] { for lane in 0..<width { lanes[lane] += lanes[lane + width] } }
        #expect(path.table.sum_of_squares(count, x) == lanes[0])
    }

    @Test("Runs are added element by element, in place too", arguments: KernelPath.each(counts))
    func addition(path: KernelPath, count: Int) {
        var numbers = TestNumbers(seed: 2)
        let (left, right) = (numbers.floats(count), numbers.floats(count))
        let out = withMargins(count) { path.table.add(count, left, right, $0) }
        #expect(out == zip(left, right).map { $0 + $1 })
        let buffer = FloatBuffer(left)
        path.table.add(count, buffer.base, right, buffer.base)
        #expect(buffer.array == out)
    }

    @Test("One number that is infinite or NaN is found anywhere", arguments: KernelPath.all)
    func finite(path: KernelPath) {
        var x = [Float](repeating: .greatestFiniteMagnitude, count: 37)
        #expect(path.table.is_finite(37, x) == 1 && path.table.is_finite(0, x) == 1)
        for index in x.indices {
            for value in [Float.nan, .infinity, -.infinity] {
                x[index] = value
                #expect(path.table.is_finite(37, x) == 0)
                #expect(path.table.is_finite(index, x) == 1, "what lies behind the end does not count")
            }
            x[index] = -1
        }
    }

    @Test(
        "A digest is the same on all paths, and differs for every bit and length",
        arguments: [0, 1, 3, 4, 255, 256, 257, 900])
    func digests(bytes: Int) {
        var numbers = TestNumbers(seed: 8)
        var data = (0..<bytes).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        let table = KernelPath.all[0].table
        let whole = table.digest(bytes, data)
        for path in KernelPath.all { #expect(path.table.digest(bytes, data) == whole) }
        #expect(data.withUnsafeBytes { digest($0) } == whole)
        var seen: Set<UInt64> = [whole]
        for index in 0..<bytes {
            for bit in 0..<8 {
                data[index] ^= 1 << UInt8(bit)
                #expect(seen.insert(table.digest(bytes, data)).inserted)
                data[index] ^= 1 << UInt8(bit)
            }
        }
        #expect(seen.insert(table.digest(bytes + 1, data + [0])).inserted)
    }

    @Test("An instruction set that is none is refused by name")
    func instructionSet() throws {
        #expect(throws: InstructionSet.Unavailable.self) { try InstructionSet.table(named: "v5") }
        do {
            _ = try InstructionSet.table(named: "sse")
        } catch {
            #expect(error.description.contains("LOCKSTEP_ISA=sse") && error.description.contains("baseline"))
        }
        #expect(InstructionSet.available.contains(try InstructionSet.select()))
    }

    @Test("The roofs are measured")
    func roofs() {
        #expect(multiplyAddRate(seconds: 0.001) > 1e7)
        #expect(readRate(of: FloatBuffer(count: 10_000), seconds: 0.001) > 1e6)
    }
}
