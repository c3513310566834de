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
    /// Of the last run, by thread: the first is the one that runs the engine.
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
        for (node, place) in zip(nodes, self.rows(of: nodes, held)) {
            output.run(
                held, node: place, weight: node.gradient.base + weightStart, bias: node.gradient.base + biasStart,
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
            layerGradients(layer, held, nodes)
            finished(layout.range(layer: layer))
            phases.weightGradients += lap()
        }
        return outcomes
    }

    // MARK: Weight gradients

    /// All gradients of a layer. A task has some of the gates.
    private func layerGradients(_ layer: Int, _ held: Activations, _ nodes: [GradientNode]) {
        let shape = geometry.shape
        let hidden = shape.hidden
        let count = 4 * hidden
        func start(_ parameter: Parameter) -> Int { layout[parameter].range.lowerBound }
        let biasStart = shape.bias ? start(.inputBias(layer: layer)) : nil
        let tableStart = layer == 0 ? start(.inputWeight(layer: layer)) : nil
        nonisolated(unsafe) let gradient = held.gates[layer].base

        let tile = WeightGradient.tileRows
        let tiles = (count + tile - 1) / tile
        let block = WeightGradient.blockTiles
        // As many blocks for one thread as for another.
        let blocks = ((tiles + block - 1) / block + pool.threads - 1) / pool.threads * pool.threads
        // Sums by token stay in L2, up to some thousands of characters.
        let tableRows = max(16, min(block * tile, 65536 / shape.vocabulary) / 16 * 16)
        for (node, place) in zip(nodes, rows(of: nodes, held)) {
            pack(layer, held, place)
            let out = node.gradient.base + start(.recurrentWeight(layer: layer))
            var inputs = [held.packedStates(layer: layer).inputs(of: place, from: 0, out: out)]
            if layer > 0 {
                let out = node.gradient.base + start(.inputWeight(layer: layer))
                inputs.append(
                    held.packedOutput(layer: layer - 1).inputs(of: place, from: held.firstPackedOutput, out: out))
            }
            let blockCount = WeightGradient.blockCount(place, rows: block * tile)
            let stackCount = WeightGradient.stackCount(
                shards: place.shards, rows: block * tile, columns: hidden, inputs: inputs.count)
            let table = tableStart.map {
                WeightGradient.Table(
                    tokens: held.inputs, vocabulary: shape.vocabulary, out: node.gradient.base + $0)
            }
            let tableCount = table?.stackCount(shards: place.shards, columns: tableRows) ?? 0
            let buffers = scratch(count: blockCount + stackCount + tableCount)
            pool.run(.weightGradients, tasks: blocks) { [inputs] task, thread in
                let rows = min(count, tiles * task / blocks * tile)..<min(count, tiles * (task + 1) / blocks * tile)
                guard !rows.isEmpty else { return }
                let stack = buffers[thread].base
                let tableStack = stack + blockCount + stackCount
                // Sums by token on the way, while the gradients of the gates are near; but there is room for those of
                // some gates only, and where a block has more they come first, some gates after others.
                let isTogether = rows.count <= tableRows
                if let table, !isTogether {
                    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: tableRows) {
                        WeightGradient.compute(
                            gradient, stride: held.gateStride, place,
                            rows: first..<min(rows.upperBound, first + tableRows), table: table, stack: tableStack)
                    }
                }
                WeightGradient.compute(
                    gradient, stride: held.gateStride, place, rows: rows, columns: hidden, inputs: inputs,
                    bias: biasStart.map { node.gradient.base + $0 },
                    table: isTogether ? table.map { ($0, tableStack) } : nil, block: stack + stackCount, stack: stack)
            }
            guard let biasStart else { continue }
            // Both biases are added to the same sums: their gradients are equal.
            (node.gradient.base + start(.recurrentBias(layer: layer))).update(
                from: node.gradient.base + biasStart, count: count)
        }
    }

    /// Packs what a layer's gates were multiplied with, but for what is packed already: see
    /// ``Activations/packsOutputsOnce``.
    private func pack(_ layer: Int, _ held: Activations, _ place: NodeRows) {
        if !held.packsOutputsOnce {
            pool.run(.weightGradients, tasks: place.shards) { shard, _ in
                held.packStates(layer: layer, of: place, shard: shard)
            }
        }
        if layer > 0 {
            pool.run(.weightGradients, tasks: place.shards) { shard, _ in
                held.packOutput(layer: layer - 1, of: place, shard: shard)
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
