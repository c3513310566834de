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
/// Memory for R rows: `4 R T (L (4H + 2H) + H)` bytes, and `4 R T L H` more with dropout.
package final class GradientEngine {
    package let geometry: EngineGeometry
    /// The times of the last run.
    package private(set) var phases = PhaseTimes()
    /// What each thread did in the last run; the first is the one that runs the engine.
    package var threadSpans: [[ThreadTimeline.Span]] { pool.timeline.spans }
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
        model = PackedModel(shape: geometry.shape, backwardWindow: geometry.window)
        layout = ParameterLayout(geometry.shape)
        output = OutputPass(geometry: geometry, model: model, pool: pool, budget: logitBudget)
        scratch = (0..<threads).map { _ in FloatBuffer(count: 0) }
    }

    deinit { pool.close() }

    /// Computes the gradients of all nodes.
    ///
    /// - Parameters:
    ///   - work: ascending by shard; each shard belongs to exactly one node.
    ///   - finished: called as soon as the gradients in a range are final in all nodes: the output layer's first, those
    ///     of layer 0 last; of a layer, some gates' weights after others, by any of the engine's threads. The ranges
    ///     cover everything once.
    /// - Returns: in the order of `work`.
    package func run(
        step: UInt64, parameters: FloatBuffer, work: [ShardWork], nodes: [GradientNode],
        finished: @Sendable (Range<Int>) -> Void
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
        pool.timeline.clear()
        model.pack(parameters, pool: pool)
        let held = activations.flatMap { $0.rows == rows ? $0 : nil } ?? Activations(geometry: geometry, rows: rows)
        activations = held
        let loading = ContinuousClock.now
        held.load(work)
        pool.timeline.note(.pack, since: loading, thread: 0)
        phases.pack = lap()
        let pass = RowPass(model: model, activations: held, geometry: geometry, step: step)
        pool.run(.forward) { [pool] thread in pass.forward(rows: pool.share(of: rows, thread: thread)) }
        phases.forward = lap()
        let (weightStart, biasStart) = (layout[.outputWeight].range.lowerBound, layout[.outputBias].range.lowerBound)
        for (node, nodeRows) in zip(nodes, self.rows(of: nodes, held)) {
            output.run(
                held, node: nodeRows, weight: node.gradient.base + weightStart, bias: node.gradient.base + biasStart,
                forwardEnded: { phases.forward += lap() }, gradientsEnded: { phases.weightGradients += lap() })
        }
        finished(layout.outputRange)
        let outcomes = held.outcomes(of: work)
        _ = lap()
        for layer in (0..<geometry.shape.layers).reversed() {
            pool.run(.backward) { [pool] thread in
                pass.backward(layer: layer, rows: pool.share(of: rows, thread: thread))
            }
            phases.backward += lap()
            layerGradients(layer, held, nodes, finished)
            phases.weightGradients += lap()
        }
        return outcomes
    }

    // MARK: Weight gradients

    /// All gradients of a layer. A task has some of the gates.
    private func layerGradients(
        _ layer: Int, _ held: Activations, _ nodes: [GradientNode], _ finished: @Sendable (Range<Int>) -> Void
    ) {
        let shape = geometry.shape
        func start(_ parameter: Parameter) -> Int { layout[parameter].range.lowerBound }
        let inputStart = start(.inputWeight(layer: layer))
        let biases =
            shape.bias ? (first: start(.inputBias(layer: layer)), second: start(.recurrentBias(layer: layer))) : nil

        let blocks = GateBlocks(layout: layout, layer: layer, threads: pool.threads)
        let most = WeightGradient.blockRows
        for (index, (node, nodeRows)) in zip(nodes, rows(of: nodes, held)).enumerated() {
            let isLast = index + 1 == nodes.count
            let out = node.gradient.base
            var inputs = [
                held.h[layer].inputs(of: nodeRows, from: 0, out: out + start(.recurrentWeight(layer: layer)))
            ]
            if layer > 0 {
                inputs.append(held.output(layer: layer - 1).inputs(of: nodeRows, from: 1, out: out + inputStart))
            }
            let gradient = GateGradients(
                gates: held.gates[layer].base, stride: held.gateStride, nodeRows: nodeRows, hidden: shape.hidden,
                inputs: inputs, bias: biases.map { out + $0.first },
                table: layer > 0
                    ? nil
                    : WeightGradient.Table(
                        tokens: held.inputs, vocabulary: shape.vocabulary, out: out + inputStart),
                tableRows: GateGradients.tableRows(of: most, vocabulary: shape.vocabulary))
            let buffers = scratch(count: gradient.scratchCount(rows: most))
            pool.run(.weightGradients, tasks: blocks.gates.count) { task, thread in
                let rows = blocks.gates[task]
                gradient.compute(rows, scratch: buffers[thread].base, most: most)
                if let biases {
                    // Both are added to the same sums: their gradients are equal.
                    let bias = node.gradient.base + rows.lowerBound
                    (bias + biases.second).update(from: bias + biases.first, count: rows.count)
                }
                guard isLast else { return }
                blocks.ranges(of: rows).forEach(finished)
            }
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

    private func scratch(count: Int) -> [FloatBuffer] {
        if scratch[0].count < count { scratch = scratch.map { _ in FloatBuffer(count: count) } }
        return scratch
    }
}
