import CKernels
import Kernels
import Testing

@Suite("Weight gradients")
struct WeightGradientTests {
    struct Shape: CustomTestStringConvertible {
        var rows = 9
        var times = 3
        var first = 1
        var each = 2
        var shards = 3
        var n = 5
        var columns = 4
        var testDescription: String { "\(shards) shards of \(each) rows, \(times) steps, \(n) x \(columns)" }
        var node: ls_node {
            ls_node(
                rows: rows, time_steps: times, first_row: first, rows_per_shard: each, count: shards, done: 0,
                continues: 0, unfinished: 0, is_last: 1)
        }
        var gradientStride: Int { n + 3 }
        var inputStride: Int { columns + 1 }
    }

    static let shapes = corners + drawn

    private static let drawn: [Shape] = {
        var numbers = TestNumbers(seed: 2)
        return (0..<20).map { _ in
            func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &numbers) }
            let (each, shards, first) = (draw(1...3), draw(1...7), draw(0...2))
            return Shape(
                rows: first + shards * each, times: draw(1...9), first: first, each: each, shards: shards,
                n: draw(1...40),
                columns: draw(1...70))
        }
    }()

    private static let corners =
        [
            Shape(), Shape(rows: 1, times: 1, first: 0, each: 1, shards: 1, n: 1, columns: 1),
            Shape(rows: 7, times: 5, first: 0, each: 1, shards: 7, n: 13, columns: 33),
            Shape(rows: 10, times: 2, first: 0, each: 2, shards: 5, n: 40, columns: 64),
            Shape(rows: 6, times: 50, first: 0, each: 6, shards: 1, n: 12, columns: 31),
            Shape(rows: 18, times: 7, first: 2, each: 1, shards: 16, n: 24, columns: 32),
            Shape(rows: 10, times: 120, first: 1, each: 9, shards: 1, n: 13, columns: 33),
            Shape(rows: 6, times: 2, first: 0, each: 2, shards: 3, n: 150, columns: 33),
            // More rows of a shard than a tile passes over at once.
            Shape(rows: 1030, times: 2, first: 0, each: 1030, shards: 1, n: 13, columns: 33),
        ] + [47, 48, 49, 64, 80, 96].map { Shape(rows: 4, times: 3, first: 0, each: 2, shards: 2, n: $0, columns: 17) }

    /// The tree over values, as its definition says: a node is left + right, or its left child alone.
    private func tree(_ leaves: ArraySlice<Float>) -> Float {
        if leaves.count == 1 { return leaves.first! }
        var half = 1
        while half * 2 < leaves.count { half *= 2 }
        return tree(leaves.prefix(half)) + tree(leaves.dropFirst(half))
    }

    private func wanted(_ s: Shape, _ term: (_ row: Int, _ sum: inout Float) -> Void) -> Float {
        let sums = (0..<s.shards).map { shard in
            var sum: Float = 0
            for t in 0..<s.times {
                for r in 0..<s.each { term(t * s.rows + s.first + shard * s.each + r, &sum) }
            }
            return sum
        }
        return tree(sums[...])
    }

    private func scratch(_ path: KernelPath, _ s: Shape) -> (block: [Float], stack: [Float]) {
        withUnsafePointer(to: path.table) { table in
            (
                [Float](repeating: .nan, count: ls_weight_block(table, s.node, s.n)),
                [Float](repeating: .nan, count: ls_weight_stack(table, s.shards, s.n, s.columns, 2))
            )
        }
    }

    private static let vocabulary = 3

    private func tokens(_ s: Shape, _ numbers: inout TestNumbers) -> [UInt32] {
        (0..<s.times * s.rows).map { _ in UInt32(numbers.next() % UInt64(Self.vocabulary)) }
    }

    /// `[n][vocabulary]`.
    private func wantedTable(_ s: Shape, _ g: [Float], _ tokens: [UInt32]) -> [Float] {
        (0..<s.n * Self.vocabulary).map { at in
            let (n, token) = at.quotientAndRemainder(dividingBy: Self.vocabulary)
            return wanted(s) { if tokens[$0] == token { $1 += g[$0 * s.gradientStride + n] } }
        }
    }

    /// Calls `body` with the table of these tokens, from a time step on.
    private func withTable(
        _ tokens: [UInt32], from time: Int = 0, _ s: Shape, _ out: UnsafeMutablePointer<Float>,
        _ stack: inout [Float], _ body: (UnsafePointer<ls_table>) -> Void
    ) {
        tokens.withUnsafeBufferPointer { tokens in
            stack.withUnsafeMutableBufferPointer { stack in
                var table = ls_table(
                    tokens: tokens.baseAddress! + time * s.rows, vocabulary: Self.vocabulary, out: out,
                    stack: stack.baseAddress)
                body(&table)
            }
        }
    }

    /// The gradients of two weights, whose inputs are `x` and `y`, of their bias, and of the weight of a one-hot input;
    /// zeros for the last two where there are no tokens.
    private struct Gradients {
        var x: [Float] = []
        var y: [Float] = []
        var bias: [Float] = []
        var table: [Float] = []
        var bits: [UInt32] { x.bits + y.bits + bias.bits + table.bits }
    }

    private func compute(
        _ path: KernelPath, _ s: Shape, parts: [(node: ls_node, time: Int)], blocks: [Range<Int>], g: [Float],
        x: [Float], y: [Float], tokens: [UInt32]?
    ) -> Gradients {
        var result = Gradients()
        func block(_ rows: Range<Int>, _ outs: [UnsafeMutablePointer<Float>]) {
            var (block, stack) = scratch(path, s)
            var tableStack = [Float](
                repeating: .nan, count: ls_table_stack(s.shards, rows.count, Self.vocabulary))
            for part in parts {
                let (byTime, byPanel) = (Panels.byTime(path, s, of: x), Panels.byPanel(path, s, of: y))
                byTime.values.withUnsafeBufferPointer { x in
                    byPanel.values.withUnsafeBufferPointer { y in
                        g.withUnsafeBufferPointer { g in
                            let base = g.baseAddress! + part.time * s.rows * s.gradientStride
                            func compute(_ table: UnsafePointer<ls_table>?) {
                                path.table.weight_gradient(
                                    ls_rows(base: base, stride: s.gradientStride), part.node, rows.lowerBound,
                                    rows.upperBound, s.columns, 2,
                                    [
                                        byTime.inputs(x.baseAddress!, part.node, part.time, out: outs[0]),
                                        byPanel.inputs(y.baseAddress!, part.node, part.time + 1, out: outs[1]),
                                    ], table == nil ? nil : outs[2], table, &block, &stack)
                            }
                            guard let tokens else { return compute(nil) }
                            withTable(tokens, from: part.time, s, outs[3], &tableStack, compute)
                        }
                    }
                }
            }
        }
        result.table = withMargins(s.n * Self.vocabulary) { table in
            result.bias = withMargins(s.n) { bias in
                result.y = withMargins(s.n * s.columns) { y in
                    result.x = withMargins(s.n * s.columns) { x in
                        for rows in blocks { block(rows, [x, y, bias, table]) }
                    }
                }
            }
        }
        return result
    }

    /// Inputs in panels, NaN wherever none is; behind the last column as much as a panel has, which never shows.
    private struct Panels {
        let values: [Float]
        private let width: Int
        private let panel: Int
        private let step: Int

        private init(_ path: KernelPath, _ s: Shape, of x: [Float], panel: Int, step: Int, count: Int) {
            (width, self.panel, self.step) = (path.table.panel_width, panel, step)
            var values = [Float](repeating: .nan, count: count)
            for (at, value) in x.enumerated() {
                let (row, column) = at.quotientAndRemainder(dividingBy: s.inputStride)
                let (time, place) = row.quotientAndRemainder(dividingBy: s.rows)
                guard column < s.columns else { continue }
                values[time * step + column / width * panel + place * width + column % width] = value
            }
            self.values = values
        }

        private static func panels(_ path: KernelPath, _ s: Shape) -> Int {
            (s.columns + path.table.panel_width - 1) / path.table.panel_width
        }

        static func byTime(_ path: KernelPath, _ s: Shape, of x: [Float]) -> Panels {
            let panel = s.rows * path.table.panel_width
            let step = panels(path, s) * panel + 3
            return Panels(path, s, of: x, panel: panel, step: step, count: x.count / s.inputStride / s.rows * step)
        }

        static func byPanel(_ path: KernelPath, _ s: Shape, of x: [Float]) -> Panels {
            let step = s.rows * path.table.panel_width
            let panel = x.count / s.inputStride / s.rows * step + 5
            return Panels(path, s, of: x, panel: panel, step: step, count: panels(path, s) * panel)
        }

        func inputs(
            _ base: UnsafePointer<Float>, _ node: ls_node, _ time: Int, out: UnsafeMutablePointer<Float>
        ) -> ls_inputs {
            ls_inputs(base: base + time * step + node.first_row * width, panel: panel, step: step, out: out)
        }
    }

    @Test(
        "A shard's sum is one chain over time and row, and shards meet in the tree",
        arguments: KernelPath.each(shapes))
    func products(path: KernelPath, s: Shape) {
        var numbers = TestNumbers(seed: 5)
        let g = numbers.floats(s.times * s.rows * s.gradientStride)
        let x = numbers.floats(s.times * s.rows * s.inputStride)
        let y = numbers.floats((s.times + 1) * s.rows * s.inputStride)
        let tokens = tokens(s, &numbers)
        var expected = Gradients()
        expected.table = wantedTable(s, g, tokens)
        for n in 0..<s.n {
            func sum(_ inputs: [Float], from first: Int, _ k: Int) -> Float {
                wanted(s) { $1.addProduct(g[$0 * s.gradientStride + n], inputs[(first + $0) * s.inputStride + k]) }
            }
            for k in 0..<s.columns {
                expected.x.append(sum(x, from: 0, k))
                expected.y.append(sum(y, from: s.rows, k))
            }
            expected.bias.append(wanted(s) { $1 += g[$0 * s.gradientStride + n] })
        }
        func bits(_ parts: [(node: ls_node, time: Int)], _ blocks: [Range<Int>]) -> [UInt32] {
            compute(path, s, parts: parts, blocks: blocks, g: g, x: x, y: y, tokens: tokens).bits
        }
        let rows = path.table.block_rows
        let whole = stride(from: 0, to: s.n, by: rows).map { $0..<min(s.n, $0 + rows) }
        #expect(bits([(s.node, 0)], whole) == expected.bits)
        let cut = (s.n + 1) / 2
        #expect(bits([(s.node, 0)], [0..<cut, cut..<s.n]) == expected.bits)
        #expect(bits(byShard(s), whole) == expected.bits)
        #expect(bits(byTime(s), whole) == expected.bits)
        // Of the weights alone, without a bias and a one-hot input.
        let alone = compute(path, s, parts: [(s.node, 0)], blocks: whole, g: g, x: x, y: y, tokens: nil)
        #expect(alone.x.bits == expected.x.bits && alone.y.bits == expected.y.bits)
        #expect((alone.bias + alone.table).allSatisfy { $0 == 0 })
    }

    /// Groups of two shards.
    private func byShard(_ s: Shape) -> [(node: ls_node, time: Int)] {
        stride(from: 0, to: s.shards, by: 2).map { shard in
            var node = s.node
            node.first_row += shard * s.each
            node.count = min(2, s.shards - shard)
            node.done = shard
            node.is_last = shard + node.count == s.shards ? 1 : 0
            return (node, 0)
        }
    }

    /// Runs of two time steps of each shard.
    private func byTime(_ s: Shape) -> [(node: ls_node, time: Int)] {
        (0..<s.shards).flatMap { shard in
            stride(from: 0, to: s.times, by: 2).map { time in
                var node = s.node
                node.first_row += shard * s.each
                node.count = 1
                node.done = shard
                node.time_steps = min(2, s.times - time)
                node.continues = time > 0 ? 1 : 0
                node.unfinished = time + node.time_steps < s.times ? 1 : 0
                node.is_last = shard + 1 == s.shards && node.unfinished == 0 ? 1 : 0
                return (node, time)
            }
        }
    }

    @Test("A one-hot input's weight has sums by token", arguments: KernelPath.each(shapes))
    func table(path: KernelPath, s: Shape) {
        var numbers = TestNumbers(seed: 6)
        let g = numbers.floats(s.times * s.rows * s.gradientStride)
        let tokens = tokens(s, &numbers)
        var stack = [Float](repeating: .nan, count: ls_table_stack(s.shards, s.n, Self.vocabulary))
        let weight = withMargins(s.n * Self.vocabulary) { weight in
            g.withUnsafeBufferPointer {
                let rows = ls_rows(base: $0.baseAddress!, stride: s.gradientStride)
                withTable(tokens, s, weight, &stack) { path.table.table_gradient(rows, s.node, 0, s.n, $0) }
            }
        }
        #expect(weight == wantedTable(s, g, tokens))
    }

    @Test("Blocks begin with whole groups, and threads that take one after the other have as much", arguments: 1...4)
    func blocks(threads: Int) {
        let group = KernelPath.all[0].table.group_rows
        for count in [1, group - 1, group, group + 1, 83, 400, 512, 1024, 2048, 5000] {
            let blocks = WeightGradient.blocks(of: count, threads: threads)
            #expect(blocks.sorted { $0.lowerBound < $1.lowerBound }.flatMap { Array($0) } == Array(0..<count))
            #expect(blocks.allSatisfy { !$0.isEmpty && $0.count <= WeightGradient.blockRows })
            let starts = (0..<threads).map { (count + 15) / 16 * $0 / threads * 16 }
            for block in blocks {
                let share = starts.last { $0 <= block.lowerBound }!
                #expect((block.lowerBound - share) % group == 0, "\(block) of \(count)")
            }
            var loads = Array(repeating: 0, count: threads)
            for block in blocks { loads[loads.indices.min { loads[$0] < loads[$1] }!] += block.count }
            #expect(loads.max()! - loads.min()! <= 16, "\(count) rows: \(loads)")
        }
    }
}
