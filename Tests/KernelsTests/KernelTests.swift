import CKernels
import Foundation
import Kernels
import Testing

/// Each instruction-set path that this processor runs, by name.
let paths = InstructionSet.available

func table(_ name: String) -> ls_kernels { ls_kernels_named(name)!.pointee }

@Suite("Kernels on every instruction set")
struct KernelTests {
    @Test("A product is one chain of multiply-adds for each element, at any size", arguments: paths)
    func product(path: String) {
        let kernels = table(path)
        var random = TestNumbers(seed: 1)
        var sizes = (0..<60).map { _ in
            (
                Int.random(in: 1...40, using: &random), Int.random(in: 1...90, using: &random),
                Int.random(in: 0...50, using: &random)
            )
        }
        // Beyond what is taken at a time of rows and of the chain, and few rows, which take several panels together.
        sizes += [(1, 300, 257), (2, 207, 300), (3, 131, 513), (4, 65, 256), (97, 33, 260), (200, 17, 600)]
        for (m, n, k) in sizes {
            let (a, w, start) = (random.floats(m * k), random.floats(n * k), random.floats(m * n))
            var expected = start
            for row in 0..<m {
                for column in 0..<n {
                    for x in 0..<k {
                        expected[row * n + column].addProduct(a[row * k + x], w[column * k + x])
                    }
                }
            }
            let other = random.floats(m * k)
            var expectedOfBoth = expected
            for row in 0..<m {
                for column in 0..<n {
                    for x in 0..<k {
                        expectedOfBoth[row * n + column].addProduct(other[row * k + x], w[column * k + x])
                    }
                }
            }
            // W^T once as the transpose of W, once as given.
            var transposed = [Float](repeating: 0, count: n * k)
            for column in 0..<n { for x in 0..<k { transposed[x * n + column] = w[column * k + x] } }
            for isTransposed in [true, false] {
                let width = kernels.panel_width
                var packed = [Float](repeating: .nan, count: (n + width - 1) / width * width * k + 1)
                var result = start
                if isTransposed {
                    kernels.pack_transposed(n, k, w, &packed)
                } else {
                    kernels.pack(n, k, transposed, &packed)
                }
                // Beginning with rows that lie elsewhere, and going on with the product of another weight.
                var elsewhere = [Float](repeating: .nan, count: m * n)
                var both = [Float](repeating: .nan, count: m * n)
                a.withUnsafeBufferPointer { a in
                    packed.withUnsafeBufferPointer { packed in
                        start.withUnsafeBufferPointer { rows in
                            let product = ls_product(a: a.baseAddress, stride: k, packed: packed.baseAddress)
                            let starts = (0..<m).map { Optional(rows.baseAddress! + $0 * n) }
                            kernels.gemm(m, n, k, 1, [product], nil, &result, n, 0, nil)
                            // What is fetched meanwhile never shows.
                            let soon = [0, 1, n, m * n].map { ls_span(base: rows.baseAddress, count: $0) }
                            kernels.gemm(m, n, k, 1, [product], starts, &elsewhere, n, soon.count, soon)
                            other.withUnsafeBufferPointer { other in
                                let second = ls_product(a: other.baseAddress, stride: k, packed: packed.baseAddress)
                                kernels.gemm(m, n, k, 2, [product, second], starts, &both, n, soon.count, soon)
                            }
                        }
                    }
                }
                #expect(result == expected, "\(m) x \(n) x \(k)")
                #expect(elsewhere == expected, "\(m) x \(n) x \(k) from elsewhere")
                #expect(both == expectedOfBoth, "\(m) x \(n) x \(k), two products")
            }
        }
    }

    @Test(
        "A weight gradient is a chain over time and rows for each shard, and the canonical tree over shards",
        arguments: paths)
    func weightGradient(path: String) {
        let kernels = table(path)
        var random = TestNumbers(seed: 2)
        for _ in 0..<25 {
            let (shards, each, time) = (
                Int.random(in: 1...7, using: &random), Int.random(in: 1...3, using: &random),
                Int.random(in: 1...9, using: &random)
            )
            let (gates, columns, spare) = (
                Int.random(in: 1...40, using: &random), Int.random(in: 1...70, using: &random),
                Int.random(in: 0...2, using: &random)
            )
            let rows = shards * each + spare
            let (g, x) = (random.floats(time * rows * gates), random.floats(time * rows * columns))
            let node = ls_node(
                rows: rows, time_steps: time, first_row: spare, rows_per_shard: each, count: shards, done: 0,
                continues: 0, unfinished: 0, is_last: 1)
            func leaf(_ shard: Int, _ gate: Int, _ column: Int) -> Float {
                var sum: Float = 0
                for t in 0..<time {
                    for r in 0..<each {
                        let row = t * rows + spare + shard * each + r
                        sum.addProduct(g[row * gates + gate], x[row * columns + column])
                    }
                }
                return sum
            }
            let width = kernels.panel_width
            let share = (columns + width - 1) / width * width * time * each
            var packed = [Float](repeating: .nan, count: share * shards)
            x.withUnsafeBufferPointer { x in
                packed.withUnsafeMutableBufferPointer { packed in
                    for shard in 0..<shards {
                        kernels.pack_rows(
                            ls_rows(base: x.baseAddress, stride: columns), node, shard, columns,
                            packed.baseAddress! + shard * share)
                    }
                }
            }
            var out = [Float](repeating: .nan, count: gates * columns)
            var block = [Float](repeating: .nan, count: ls_weight_block(ls_kernels_named(path), node, gates))
            var stack = [Float](
                repeating: .nan, count: ls_weight_stack(ls_kernels_named(path), shards, gates, columns, 1))
            out.withUnsafeMutableBufferPointer { out in
                packed.withUnsafeBufferPointer { packed in
                    g.withUnsafeBufferPointer { g in
                        kernels.weight_gradient(
                            ls_rows(base: g.baseAddress, stride: gates), node, 0, gates, columns, 1,
                            [
                                ls_inputs(
                                    packed: packed.baseAddress, panel: time * each * width, out: out.baseAddress)
                            ], nil, nil, &block, &stack)
                    }
                }
            }
            for gate in 0..<gates {
                for column in 0..<columns {
                    let expected = canonicalSum((0..<shards).map { leaf($0, gate, column) })
                    #expect(out[gate * columns + column] == expected)
                }
            }
        }
    }

    /// The tree of the design, written top down.
    private func canonicalSum(_ leaves: [Float]) -> Float {
        guard leaves.count > 1 else { return leaves[0] }
        var half = 1
        while half * 2 < leaves.count { half *= 2 }
        return canonicalSum(Array(leaves[..<half])) + canonicalSum(Array(leaves[half...]))
    }

    @Test("exp, tanh and the sigmoid stay within 2.5 units in the last place", arguments: paths)
    func elementary(path: String) {
        let kernels = table(path)
        var random = TestNumbers(seed: 3)
        func largestError(
            _ range: ClosedRange<Float>, _ kernel: (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void,
            _ exact: (Double) -> Double
        ) -> Double {
            let x = (0..<200_000).map { _ in Float.random(in: range, using: &random) }
            var y = [Float](repeating: 0, count: x.count)
            kernel(x.count, x, &y)
            return zip(x, y).map { abs(Double($1) - exact(Double($0))) / Double(Float(exact(Double($0))).ulp) }.max()!
        }
        #expect(largestError(-80...80, kernels.exponential, exp) < 2.5)
        #expect(largestError(-10...10, kernels.hyperbolic_tangent, tanh) < 2.5)
        #expect(largestError(-0.7...0.7, kernels.hyperbolic_tangent, tanh) < 2.5)
        #expect(largestError(-20...20, kernels.sigmoid) { 1 / (1 + exp(-$0)) } < 2.5)
    }

    @Test("Every kernel gives the same bits on every path")
    func pathsAgree() {
        var random = TestNumbers(seed: 4)
        let x = random.floats(1003)
        let reference = table("baseline")
        for path in paths {
            let kernels = table(path)
            func same(_ run: (ls_kernels, inout [Float]) -> Double) -> Bool {
                var (own, other) = (x, x)
                let (first, second) = (run(kernels, &own), run(reference, &other))
                return first == second && own.map(\.bitPattern) == other.map(\.bitPattern)
            }
            #expect(same { kernels, y in kernels.softmax_loss(83, &y, 5, 0.25) })
            #expect(same { kernels, y in kernels.loss(1003, &y, 77) })
            #expect(same { kernels, y in kernels.sum_of_squares(1003, &y) })
            #expect(
                same { kernels, y in
                    let (before, c) = (Array(x[..<37]), Array(x[100..<137]))
                    var (next, h) = (before, before)
                    kernels.cell_forward(37, &y, before, &next, &h)
                    kernels.cell_backward(37, &y, before, c, h, &next)
                    y += next + h
                    return 0
                })
            #expect(
                same { kernels, y in
                    var (mask, out) = ([UInt8](repeating: 0, count: 126), y)
                    kernels.dropout_forward(1003, 99, 1, 2, 3, 4, 30000, 2, y, &out, &mask)
                    kernels.dropout_backward(1003, 2, mask, &y)
                    y += out
                    return 0
                })
            #expect(
                same { kernels, y in
                    var (m, v) = (x, x.map { $0 * $0 })
                    var update = ls_update()
                    (update.clip, update.rest1, update.beta2, update.rest2) = (0.9, 0.1, 0.999, 0.001)
                    (update.epsilon, update.rate, update.root, update.shrink) = (1e-8, 0.01, 0.5, 1)
                    kernels.adam(1003, &y, x.reversed(), &m, &v, nil, update)
                    y += m + v
                    return 0
                })
            let words = x.map(\.bitPattern)
            #expect(kernels.digest(words.count, words) == reference.digest(words.count, words))
        }
    }

    @Test("Philox4x32-10 gives the published values", arguments: paths)
    func philox(path: String) {
        let cases: [([UInt32], [UInt32], [UInt32])] = [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ]
        for (counter, key, expected) in cases {
            var out = [UInt32](repeating: 0, count: 4)
            table(path).philox(counter, key, &out)
            #expect(out == expected)
        }
    }

    @Test("A digest changes with any bit and with the length")
    func digests() {
        var random = TestNumbers(seed: 5)
        let buffer = FloatBuffer(random.floats(300))
        let original = digest(buffer)
        var seen: Set<UInt64> = [original]
        for place in 0..<300 {
            let kept = buffer[place]
            buffer[place] = Float(bitPattern: kept.bitPattern ^ (1 << UInt32(place % 32)))
            #expect(seen.insert(digest(buffer)).inserted)
            buffer[place] = kept
        }
        #expect(digest(buffer) == original)
        #expect(digest(FloatBuffer(count: 64)) != digest(FloatBuffer(count: 65)))
    }

    /// The exponential of doubles, one by one.
    private func plainExponential(_ x: Double) -> Double {
        guard !x.isNaN else { return x }
        guard x < 709.782712893384 else { return .infinity }
        guard x > -745.2 else { return 0 }
        let n = (x * 0x1.71547652b82fep0).rounded(.toNearestOrEven)
        let r = x.addingProduct(-n, 0x1.62e42fefa3800p-1).addingProduct(-n, 0x1.ef35793c76730p-45)
        var sum = 1.0
        for k in stride(from: 16, through: 1, by: -1) { sum = 1.0.addingProduct(sum, r / Double(k)) }
        let half = (n / 2).rounded(.down)
        return sum * Double(sign: .plus, exponent: Int(half), significand: 1)
            * Double(sign: .plus, exponent: Int(n - half), significand: 1)
    }

    @Test("Exponentials of doubles have the bits of the plain formula, wherever they stand", arguments: paths)
    func exponentialsOfDoubles(path: String) {
        var random = TestNumbers(seed: 8)
        let corners: [Double] = [
            0, -0.0, .nan, -Double.nan, .infinity, -.infinity, 709.782712893384, 709.78, 710, 1e300, -745.2, -745.1,
            -746, -1e300, -708.5, -740, .leastNonzeroMagnitude,
        ]
        for count in [1, 2, 15, 16, 17, 83, 2000] {
            let drawn = (0..<count).map { _ in Double.random(in: -750...712, using: &random) }
            for values in [drawn, Array(corners.prefix(count))] {
                // What lies behind is to stay.
                var results = values + [7, 7]
                table(path).exponential_of_doubles(values.count, &results)
                #expect(results.suffix(2) == [7, 7])
                for (x, result) in zip(values, results) {
                    let wanted = plainExponential(x)
                    #expect(result.bitPattern == wanted.bitPattern, "\(x)")
                }
            }
        }
    }

    @Test("Exponential and cosine in Double are right to the last places")
    func deterministicMath() {
        var random = TestNumbers(seed: 6)
        for _ in 0..<20_000 {
            let x = Double.random(in: -700...700, using: &random)
            #expect(abs(DeterministicMath.exp(x) / Foundation.exp(x) - 1) < 1e-15 * max(1, abs(x) / 100))
            let angle = Double.random(in: 0...20, using: &random)
            #expect(abs(DeterministicMath.cosine(angle) - Foundation.cos(angle)) < 1e-15)
        }
    }
}
