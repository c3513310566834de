import CKernels
import Testing

@Suite("Products")
struct ProductTests {
    @Test("A product is one chain of multiply-adds for each element, at any size", arguments: KernelPath.all)
    func product(path: KernelPath) {
        let kernels = path.table
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
            let width = kernels.panel_width
            // Rows whose columns are not in one piece.
            let apart = Groups(of: max(k, 1), width: width)
            let spread = (0..<m).flatMap { apart.spread(Array(a[$0 * k..<($0 + 1) * k])) + [.nan] }
            for isTransposed in [true, false] {
                var packed = [Float](repeating: .nan, count: (n + width - 1) / width * width * k + 1)
                if isTransposed {
                    kernels.pack_transposed(n, k, w, &packed)
                } else {
                    kernels.pack(n, k, transposed, &packed)
                }
                // Going on from what stands there; beginning with rows that lie elsewhere; and going on with the product
                // of another weight.
                var (result, elsewhere, both, inGroups) = ([Float](), [Float](), [Float](), [Float]())
                a.withUnsafeBufferPointer { a in
                    packed.withUnsafeBufferPointer { packed in
                        start.withUnsafeBufferPointer { rows in
                            let product = ls_product(
                                a: a.baseAddress, stride: k, group: width, packed: packed.baseAddress)
                            let starts = (0..<m).map { Optional(rows.baseAddress! + $0 * n) }
                            result = withRows(m, n) { c, stride in
                                for row in 0..<m { (c + row * stride).update(from: starts[row]!, count: n) }
                                kernels.gemm(m, n, k, 1, [product], nil, c, stride, 0, nil)
                            }
                            // What is fetched meanwhile never shows.
                            let soon = [0, 1, n, m * n].map { ls_span(base: rows.baseAddress, count: $0) }
                            elsewhere = withRows(m, n) { c, stride in
                                kernels.gemm(m, n, k, 1, [product], starts, c, stride, soon.count, soon)
                            }
                            other.withUnsafeBufferPointer { other in
                                let second = ls_product(
                                    a: other.baseAddress, stride: k, group: width, packed: packed.baseAddress)
                                both = withRows(m, n) { c, stride in
                                    kernels.gemm(m, n, k, 2, [product, second], starts, c, stride, soon.count, soon)
                                }
                            }
                            spread.withUnsafeBufferPointer { spread in
                                let product = ls_product(
                                    a: spread.baseAddress, stride: apart.count + 1, group: apart.group,
                                    packed: packed.baseAddress)
                                inGroups = withRows(m, n) { c, stride in
                                    kernels.gemm(m, n, k, 1, [product], starts, c, stride, soon.count, soon)
                                }
                            }
                        }
                    }
                }
                #expect(result == expected, "\(m) x \(n) x \(k)")
                #expect(elsewhere == expected, "\(m) x \(n) x \(k) from elsewhere")
                #expect(inGroups == expected, "\(m) x \(n) x \(k), columns in groups")
                #expect(both == expectedOfBoth, "\(m) x \(n) x \(k), two products")
            }
        }
    }

    /// The rows that `body` writes, some floats apart, which are expected to stay as they are.
    private func withRows(_ m: Int, _ n: Int, _ body: (UnsafeMutablePointer<Float>, _ stride: Int) -> Void) -> [Float] {
        let stride = n + 3
        let all = withMargins((m - 1) * stride + n) { body($0, stride) }
        #expect((0..<m - 1).allSatisfy { row in all[row * stride + n..<(row + 1) * stride].allSatisfy { $0 == 0 } })
        return (0..<m).flatMap { all[$0 * stride..<$0 * stride + n] }
    }
}
