package import Kernels

/// Forward and backward passes of many shards together, on this worker's threads.
///
/// A shard's gradient is a pure function of (parameters, tokens, carry, step): each element of every product is one
/// chain of fused multiply-adds, for weight gradients over the shard's own (time, row) pairs in that order, and shards
/// meet in the canonical tree only. The gradient of the loss is scaled by 1 / (B T) where it arises, so that the tree's
/// SUM over all shards is already the mean over the batch.
///
/// Chains, in order: gates = (b_ih + b_hh), inputs ascending, recurrent units ascending; dh of a step = what comes from
/// above (masked), then the gates of the later step ascending; dx of a layer = 0, then its gates ascending.
///
/// Memory for R rows: `4 R T (L (4H + 2H) + H)` bytes, `4 R T L H` more with dropout, and one packed operand
/// `4 R T H`.
package final class GradientEngine {
    package let geometry: EngineGeometry
    /// Of the last run.
    package private(set) var phases = PhaseTimes()
    private let pool: ComputePool
    private let model: PackedModel
    private let layout: ParameterLayout
    private let output: OutputPass
    private var activations: Activations?
    private var scratch: [FloatBuffer]

    /// - Parameter logitBudget: floats of logits that stand at a time; a larger product is worked off in parts, with the
    ///   same bits.
    package init(geometry: EngineGeometry, threads: Int, logitBudget: Int = 4 << 20) {
        precondition(geometry.batch % geometry.shards == 0)
        self.geometry = geometry
        pool = ComputePool(threads: threads)
        model = PackedModel(shape: geometry.shape, backward: true)
        layout = ParameterLayout(geometry.shape)
        output = OutputPass(geometry: geometry, model: model, pool: pool, budget: logitBudget)
        scratch = (0..<threads).map { _ in FloatBuffer(count: 0) }
    }

    deinit { pool.close() }

    /// Computes the gradients of all nodes.
    ///
    /// - Parameters:
    ///   - work: ascending by shard; each shard belongs to exactly one node.
    ///   - finished: called on this thread as soon as the gradients in a range are final in all nodes: the output layer
    ///     first, layer 0 last. The ranges meet and cover everything once.
    /// - Returns: in the order of `work`.
    package func run(
        step: UInt64, parameters: FloatBuffer, work: [ShardWork], nodes: [GradientNode],
        finished: (Range<Int>) -> Void
    ) -> [ShardOutcome] {
        let rows = work.count * geometry.rowsPerShard
        precondition(nodes.flatMap(\.shards) == work.map(\.shard), "nodes and work name the same shards")
        var clock = ContinuousClock.now
        func lap() -> Double {
            let now = ContinuousClock.now
            defer { clock = now }
            return (now - clock) / .seconds(1)
        }
        phases = PhaseTimes()
        model.pack(parameters, pool: pool)
        let held = activations.flatMap { $0.rows == rows ? $0 : nil } ?? Activations(geometry: geometry, rows: rows)
        activations = held
        held.load(work)
        phases.pack = lap()
        let pass = RowPass(model: model, activations: held, geometry: geometry, step: step)
        pool.run { [pool] thread in pass.forward(rows: pool.share(of: rows, thread: thread)) }
        phases.forward = lap()
        let (weightStart, biasStart) = (layout["fc.weight"]!.range.lowerBound, layout["fc.bias"]!.range.lowerBound)
        for (node, place) in zip(nodes, self.rows(of: nodes, held)) {
            output.run(
                held, node: place, weight: node.gradient.base + weightStart, bias: node.gradient.base + biasStart,
                forwardEnded: { phases.forward += lap() }, gradientsEnded: { phases.weightGradients += lap() })
        }
        finished(layout.outputRange)
        for layer in (0..<geometry.shape.layers).reversed() {
            pool.run { [pool] thread in pass.backward(layer: layer, rows: pool.share(of: rows, thread: thread)) }
            phases.backward += lap()
            layerGradients(layer, held, nodes)
            finished(layout.range(layer: layer))
            phases.weightGradients += lap()
        }
        return held.outcomes(of: work)
    }

    // MARK: Weight gradients

    private func layerGradients(_ layer: Int, _ held: Activations, _ nodes: [GradientNode]) {
        let shape = geometry.shape
        let gates = held.gates[layer].base
        products(
            of: gates, rows: 4 * shape.hidden, inputs: held.h[layer].base, name: "lstm.weight_hh_l\(layer)", held,
            nodes)
        if layer > 0 {
            products(
                of: gates, rows: 4 * shape.hidden, inputs: held.output(layer: layer - 1),
                name: "lstm.weight_ih_l\(layer)", held, nodes)
        }
        guard shape.bias || layer == 0 else { return }
        columns(
            of: gates, count: 4 * shape.hidden, weight: layer == 0 ? "lstm.weight_ih_l0" : nil,
            bias: shape.bias ? "lstm.bias_ih_l\(layer)" : nil, held, nodes)
        guard shape.bias else { return }
        // Both biases are added to the same sums: their gradients are equal.
        let from = layout["lstm.bias_ih_l\(layer)"]!.range
        let to = layout["lstm.bias_hh_l\(layer)"]!.range
        for node in nodes {
            (node.gradient.base + to.lowerBound).update(from: node.gradient.base + from.lowerBound, count: from.count)
        }
    }

    private func rows(of nodes: [GradientNode], _ held: Activations) -> [NodeRows] {
        var first = 0
        return nodes.map { node in
            defer { first += node.shards.count * geometry.rowsPerShard }
            return NodeRows(
                rows: held.rows, timeSteps: geometry.window, firstRow: first, rowsPerShard: geometry.rowsPerShard,
                shards: node.shards.count)
        }
    }

    /// `gradient^T x` for a weight of `count` rows whose inputs are `[T][R][H]`.
    private func products(
        of gradient: UnsafeMutablePointer<Float>, rows count: Int, inputs: UnsafeMutablePointer<Float>, name: String,
        _ held: Activations, _ nodes: [GradientNode]
    ) {
        let hidden = geometry.shape.hidden
        let start = layout[name]!.range.lowerBound
        let places = rows(of: nodes, held)
        nonisolated(unsafe) let (gradient, inputs) = (gradient, inputs)
        for (node, place) in zip(nodes, places) {
            let packed = held.packed(count: WeightGradient.packedCount(place, columns: hidden))
            pool.run(tasks: place.shards) { shard, _ in
                WeightGradient.pack(inputs, stride: hidden, place, shard: shard, columns: hidden, into: packed.base)
            }
            let block = 8 * WeightGradient.tileRows
            let blockCount = WeightGradient.blockCount(place, rows: block)
            let stackCount = WeightGradient.stackCount(shards: place.shards, rows: block, columns: hidden)
            let buffers = scratch(count: blockCount + stackCount)
            pool.run(tasks: (count + block - 1) / block) { task, thread in
                WeightGradient.compute(
                    gradient, stride: count, packed: packed.base, place,
                    rows: task * block..<min(count, (task + 1) * block), columns: hidden,
                    into: node.gradient.base + start, block: buffers[thread].base + stackCount,
                    stack: buffers[thread].base)
            }
        }
    }

    private func columns(
        of gradient: UnsafeMutablePointer<Float>, count: Int, weight: String?, bias: String?, _ held: Activations,
        _ nodes: [GradientNode]
    ) {
        let vocabulary = weight == nil ? 0 : geometry.shape.vocabulary
        // Accumulators of a block of columns stay in L2.
        let block = min(256, max(16, 65536 / (vocabulary + 1) / 16 * 16))
        let weightStart = weight.map { layout[$0]!.range.lowerBound }
        let biasStart = bias.map { layout[$0]!.range.lowerBound }
        nonisolated(unsafe) let gradient = gradient
        nonisolated(unsafe) let tokens = UnsafePointer(held.inputs)
        for (node, place) in zip(nodes, rows(of: nodes, held)) {
            let buffers = scratch(
                count: WeightGradient.columnStackCount(
                    shards: place.shards, columns: block, vocabulary: vocabulary))
            pool.run(tasks: (count + block - 1) / block) { task, thread in
                WeightGradient.computeColumns(
                    gradient, stride: count, tokens: tokens, vocabulary: vocabulary, place,
                    columns: task * block..<min(count, (task + 1) * block),
                    weight: weightStart.map { node.gradient.base + $0 },
                    bias: biasStart.map { node.gradient.base + $0 }, stack: buffers[thread].base)
            }
        }
    }

    private func scratch(count: Int) -> [FloatBuffer] {
        if scratch[0].count < count { scratch = scratch.map { _ in FloatBuffer(count: count) } }
        return scratch
    }
}
