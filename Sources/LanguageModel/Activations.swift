import Kernels

/// What the forward pass leaves for the backward pass: `R` rows side by side, time outside.
final class Activations: @unchecked Sendable {
    // @unchecked: threads write disjoint rows; phases are separated by the pool's barrier.
    let rows: Int
    private let geometry: EngineGeometry
    /// Floats from a row to the next, of gates and of `H` units: at least what a row has, see ``RowStride``.
    let gateStride: Int
    let stride: Int
    /// Each layer's activated gates, then their gradients: `[T][R][4H]`.
    let gates: [FloatBuffer]
    /// Each layer's outputs at `T + 1` time steps: the `t`-th is the one before step `t`.
    let h: [PanelRows]
    /// Each layer's cell states at the same time steps: `[T + 1][R][H]`.
    let c: [FloatBuffer]
    /// With dropout, each layer's outputs after their masks, at the same places as in ``h``.
    let dropped: [PanelRows]
    /// Each layer's masks: `[T][R]` rows of bits.
    let maskPointers: [UnsafeMutablePointer<UInt8>]
    let maskBytes: Int
    /// `[T][R][H]`: the gradient of a layer's output, then of the one below.
    let dx: FloatBuffer
    /// `[R][H]`.
    let dc: FloatBuffer
    /// `[T][R]`.
    let inputs: UnsafeMutablePointer<UInt32>
    let targets: UnsafeMutablePointer<UInt32>
    let losses: UnsafeMutablePointer<Double>
    /// The global rows, for the masks.
    private(set) var globalRows: [Int] = []

    init(geometry: EngineGeometry, rows: Int) {
        self.rows = rows
        self.geometry = geometry
        let shape = geometry.shape
        let (count, hidden) = (rows * geometry.window, shape.hidden)
        let (gateStride, stride) = (RowStride.of(columns: 4 * hidden), RowStride.of(columns: hidden))
        (self.gateStride, self.stride) = (gateStride, stride)
        gates = (0..<shape.layers).map { _ in FloatBuffer(count: count * gateStride) }
        func outputs() -> [PanelRows] {
            (0..<shape.layers).map { _ in PanelRows(rows: rows, timeSteps: geometry.window + 1, columns: hidden) }
        }
        h = outputs()
        c = (0..<shape.layers).map { _ in FloatBuffer(count: (count + rows) * stride) }
        dropped = geometry.dropout > 0 ? outputs() : []
        let maskBytes = DropoutMask.byteCount(hidden: hidden)
        self.maskBytes = maskBytes
        maskPointers =
            geometry.dropout > 0
            ? (0..<shape.layers).map { _ in
                let pointer = UnsafeMutablePointer<UInt8>.allocate(capacity: count * maskBytes)
                pointer.initialize(repeating: 0, count: count * maskBytes)
                return pointer
            } : []
        dx = FloatBuffer(count: count * stride)
        dc = FloatBuffer(count: rows * stride)
        inputs = .allocate(capacity: count)
        targets = .allocate(capacity: count)
        losses = .allocate(capacity: count)
    }

    deinit {
        inputs.deallocate()
        targets.deallocate()
        losses.deallocate()
        for pointer in maskPointers { pointer.deallocate() }
    }

    /// What the layer above, or the output layer, reads: at step `t` the `t + 1`-th.
    func output(layer: Int) -> PanelRows { dropped.isEmpty ? h[layer] : dropped[layer] }

    // MARK: What goes in and comes out

    func load(_ work: [ShardWork]) {
        let (each, window, shape) = (geometry.rowsPerShard, geometry.window, geometry.shape)
        globalRows = work.flatMap { shard in (0..<each).map { shard.shard * each + $0 } }
        for (index, shard) in work.enumerated() {
            precondition(shard.inputs.count == each * window && shard.targets.count == each * window)
            precondition(shard.carry.count == each * shape.carryCount)
            precondition((shard.inputs + shard.targets).allSatisfy { $0 < shape.vocabulary }, "a token is none")
            for row in 0..<each {
                let heldRow = index * each + row
                for time in 0..<window {
                    inputs[time * rows + heldRow] = shard.inputs[row * window + time]
                    targets[time * rows + heldRow] = shard.targets[row * window + time]
                }
            }
            shard.carry.withUnsafeBufferPointer { carry in
                for row in 0..<each {
                    for layer in 0..<shape.layers {
                        let from = carry.baseAddress! + row * shape.carryCount + layer * 2 * shape.hidden
                        let at = (index * each + row) * stride
                        h[layer].store(from, row: index * each + row, time: 0)
                        (c[layer].base + at).update(from: from + shape.hidden, count: shape.hidden)
                    }
                }
            }
        }
    }

    func outcomes(of work: [ShardWork]) -> [ShardOutcome] {
        let (each, window, shape) = (geometry.rowsPerShard, geometry.window, geometry.shape)
        return work.enumerated().map { index, shard in
            var loss = 0.0
            for time in 0..<window {
                for row in 0..<each { loss += losses[time * rows + index * each + row] }
            }
            let carry = [Float](unsafeUninitializedCapacity: each * shape.carryCount) { carry, count in
                var to = carry.baseAddress!
                for row in index * each..<(index + 1) * each {
                    for layer in 0..<shape.layers {
                        h[layer].load(row: row, time: window, into: to)
                        (to + shape.hidden).update(
                            from: c[layer].base + (window * rows + row) * stride, count: shape.hidden)
                        to += 2 * shape.hidden
                    }
                }
                count = carry.count
            }
            return ShardOutcome(shard: shard.shard, loss: loss, carry: carry)
        }
    }
}
