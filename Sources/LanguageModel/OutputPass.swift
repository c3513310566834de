import Kernels

/// The output layer of a step: logits, loss, their gradients, and the gradient of what the layer reads.
///
/// Works in waves of some shards, or some time steps of one, so that logits never take more than `budget` floats
/// whatever the batch and the window are.
final class OutputPass: @unchecked Sendable {
    // @unchecked: buffers grow between the pool's jobs only, and threads write disjoint tokens or rows of the result.
    /// Tokens that a thread takes at a time: a multiple of every tile's height.
    private static let chunk = 96

    private let geometry: EngineGeometry
    private let model: PackedModel
    private let pool: ComputePool
    private let dropout: DropoutMask
    private let scale: Float
    private let budget: Int
    private var logits = FloatBuffer(count: 0)
    private var stacks = FloatBuffer(count: 0)
    private var blocks: [FloatBuffer] = []
    /// Room for the rows of a chunk, for each thread. First for the inputs, which are copied side by side where a time
    /// step has few of them. Then for their gradients, where the wave's rows are not all of a time step's: those lie
    /// apart in ``Activations/dx``, and are copied there.
    private let gathered: [FloatBuffer]

    /// - Parameter budget: floats of logits that stand at a time, at least those of one step of a shard.
    init(geometry: EngineGeometry, model: PackedModel, pool: ComputePool, budget: Int) {
        self.budget = budget
        self.geometry = geometry
        self.model = model
        self.pool = pool
        dropout = DropoutMask(probability: geometry.dropout, seed: geometry.seed)
        scale = Float(1 / Double(geometry.batch * geometry.window))
        gathered = (0..<pool.threads).map { _ in
            FloatBuffer(count: Self.chunk * RowStride.of(columns: geometry.shape.hidden))
        }
    }

    /// A part of a node: its rows among the worker's, and its time steps.
    private struct Wave: Sendable {
        var node: NodeRows
        var times: Range<Int>
        var rows: Int { node.shards * node.rowsPerShard }
        var tokens: Int { rows * times.count }

        /// The row and the time of a token: rows are counted inside, time steps outside.
        func rowAndTime(_ token: Int) -> (row: Int, time: Int) {
            (node.firstRow + token % rows, times.lowerBound + token / rows)
        }
    }

    private func waves(of node: NodeRows) -> [Wave] {
        let tokens = max(1, budget / geometry.shape.vocabulary)
        let each = node.rowsPerShard
        if each * geometry.window <= tokens {
            let group = tokens / (each * geometry.window)
            return stride(from: 0, to: node.shards, by: group).map { first in
                var part = node
                part.firstRow += first * each
                part.shards = min(group, node.shards - first)
                part.done = first
                part.isLast = first + part.shards == node.shards
                return Wave(node: part, times: 0..<geometry.window)
            }
        }
        let length = max(1, tokens / each)
        return (0..<node.shards).flatMap { shard in
            stride(from: 0, to: geometry.window, by: length).map { time in
                let times = time..<min(geometry.window, time + length)
                var part = node
                part.firstRow += shard * each
                part.shards = 1
                part.done = shard
                part.timeSteps = times.count
                part.continues = time > 0
                part.isUnfinished = times.upperBound < geometry.window
                part.isLast = shard + 1 == node.shards && !part.isUnfinished
                return Wave(node: part, times: times)
            }
        }
    }

    /// - Parameters:
    ///   - weight: where the gradient of `fc.weight` goes, and `bias` that of `fc.bias`.
    ///   - forwardEnded: called when the losses of a wave stand; `gradientsEnded` when its sums do.
    func run(
        _ held: Activations, node: NodeRows, weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>,
        forwardEnded: () -> Void, gradientsEnded: () -> Void
    ) {
        let (hidden, vocabulary) = (geometry.shape.hidden, geometry.shape.vocabulary)
        let ranges = WeightGradient.blocks(of: vocabulary, threads: pool.threads)
        let block = ranges.map(\.count).max()!
        let waves = waves(of: node)
        let stackCount = WeightGradient.stackCount(shards: node.shards, rows: block, columns: hidden, inputs: 1)
        grow(&logits, waves.map(\.tokens).max()! * vocabulary)
        grow(&stacks, (waves.count > 1 ? ranges.count : pool.threads) * stackCount)
        let blockCount = waves.map { WeightGradient.blockCount($0.node, rows: block) }.max()!
        if (blocks.first?.count ?? 0) < blockCount {
            blocks = (0..<pool.threads).map { _ in FloatBuffer(count: blockCount) }
        }
        let below = geometry.shape.layers - 1
        let (logits, blocks, stacks) = (logits, blocks, stacks)
        nonisolated(unsafe) let (weight, bias) = (weight, bias)
        for wave in waves {
            // A chunk is whole time steps, where they are short enough.
            let chunk = wave.rows <= Self.chunk ? Self.chunk / wave.rows * wave.rows : Self.chunk
            pool.run(.forward, tasks: (wave.tokens + chunk - 1) / chunk) { [self] task, thread in
                let first = task * chunk
                losses(held, wave, tokens: first..<min(wave.tokens, first + chunk), gathered[thread].base)
            }
            forwardEnded()
            let inputs = held.output(layer: below).inputs(
                of: wave.node, from: 1 + wave.times.lowerBound, out: weight)
            // The logits of a wave stand by themselves.
            var own = wave.node
            own.rows = wave.rows
            own.firstRow = 0
            let nodeRows = own
            pool.run(.weightGradients, tasks: ranges.count) { task, thread in
                WeightGradient.compute(
                    logits.base, stride: vocabulary, nodeRows, rows: ranges[task], columns: hidden,
                    inputs: [inputs], bias: bias, block: blocks[thread].base,
                    stack: stacks.base + (waves.count > 1 ? task : thread) * stackCount)
            }
            gradientsEnded()
        }
    }

    private func grow(_ buffer: inout FloatBuffer, _ count: Int) {
        if buffer.count < count { buffer = FloatBuffer(count: count) }
    }

    /// Rows of a time step from which on a product of their own is cheaper than a copy of them among others.
    private static let manyRows = 32

    /// The logits of some tokens of a wave.
    private func multiply(
        _ held: Activations, _ wave: Wave, tokens: Range<Int>, _ gathered: UnsafeMutablePointer<Float>
    ) {
        let (inputs, vocabulary) = (held.output(layer: geometry.shape.layers - 1), geometry.shape.vocabulary)
        let bias = UnsafePointer(model.outputBias.base)
        func product(_ operand: PackedWeight.Operand, _ tokens: Range<Int>) {
            model.output.multiply(
                operand, rows: tokens.count, into: logits.base + tokens.lowerBound * vocabulary, stride: vocabulary
            ) { _ in bias }
        }
        if wave.rows < Self.manyRows {
            for (index, token) in tokens.enumerated() {
                let (row, time) = wave.rowAndTime(token)
                inputs.load(row: row, time: time + 1, into: gathered + index * held.stride)
            }
            return product(.init(gathered, stride: held.stride), tokens)
        }
        for first in stride(from: tokens.lowerBound / wave.rows * wave.rows, to: tokens.upperBound, by: wave.rows) {
            let run = tokens.clamped(to: first..<first + wave.rows)
            let (row, time) = wave.rowAndTime(run.lowerBound)
            product(inputs.operand(row: row, time: time + 1), run)
        }
    }

    /// Logits, losses and gradients of some tokens of a wave.
    private func losses(
        _ held: Activations, _ wave: Wave, tokens: Range<Int>, _ gathered: UnsafeMutablePointer<Float>
    ) {
        let (hidden, vocabulary, stride) = (geometry.shape.hidden, geometry.shape.vocabulary, held.stride)
        func heldIndex(_ token: Int) -> Int {
            let (row, time) = wave.rowAndTime(token)
            return time * held.rows + row
        }
        multiply(held, wave, tokens: tokens, gathered)
        let own = logits.base + tokens.lowerBound * vocabulary
        for (index, token) in tokens.enumerated() {
            let at = heldIndex(token)
            held.losses[at] = RowKernels.softmaxLoss(
                vocabulary: vocabulary, logits: own + index * vocabulary, target: held.targets[at], scale: scale)
        }
        let isTogether = wave.rows == held.rows
        let dx = isTogether ? held.dx.base + heldIndex(tokens.lowerBound) * stride : gathered
        model.outputBack!.multiply(
            .init(own, stride: vocabulary), rows: tokens.count, into: dx, stride: stride
        ) { _ in UnsafePointer(model.zeros.base) }
        for (index, token) in tokens.enumerated() {
            let at = heldIndex(token)
            if let masks = held.maskPointers.last {
                dropout.applyBackward(hidden: hidden, mask: masks + at * held.maskBytes, to: dx + index * stride)
            }
            if !isTogether { (held.dx.base + at * stride).update(from: dx + index * stride, count: hidden) }
        }
    }
}
