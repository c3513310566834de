import Kernels

/// What the forward pass leaves for the backward pass: `R` rows side by side, time outside.
final class Activations: @unchecked Sendable {
    // @unchecked: threads write disjoint rows; phases are separated by the pool's barrier.
    let rows: Int
    private let geometry: EngineGeometry
    /// Floats from a row to the next, of gates and of `H` units: at least what a row has, see ``RowStride``.
    let gateStride: Int
    let stride: Int
    /// Of each layer `[T][R][4H]`: activated gates, then their gradients.
    let gates: [FloatBuffer]
    /// Of each layer `[T + 1][R][H]`: slot `t` is the state before step `t`.
    let h: [FloatBuffer]
    let c: [FloatBuffer]
    /// With dropout, of each layer `[T][R][H]`: the output after its mask.
    let dropped: [FloatBuffer]
    /// Of each layer `[T][R]` rows of bits.
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
    private let packedBuffer: FloatBuffer

    init(geometry: EngineGeometry, rows: Int) {
        self.rows = rows
        self.geometry = geometry
        let shape = geometry.shape
        let (count, hidden) = (rows * geometry.window, shape.hidden)
        let (gateStride, stride) = (RowStride.of(columns: 4 * hidden), RowStride.of(columns: hidden))
        (self.gateStride, self.stride) = (gateStride, stride)
        gates = (0..<shape.layers).map { _ in FloatBuffer(count: count * gateStride) }
        h = (0..<shape.layers).map { _ in FloatBuffer(count: (count + rows) * stride) }
        // Room for packed inputs: see packedOutput(layer:).
        let packedCount = PackedInputs.count(rows: rows, timeSteps: Self.packedSteps(geometry), columns: hidden)
        packedBuffer = FloatBuffer(count: packedCount)
        c = (0..<shape.layers).map { _ in FloatBuffer(count: max((count + rows) * stride, packedCount)) }
        dropped = geometry.dropout > 0 ? (0..<shape.layers).map { _ in FloatBuffer(count: count * stride) } : []
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

    /// What the layer above, or the output layer, reads: `[T][R][H]`.
    func output(layer: Int) -> UnsafeMutablePointer<Float> {
        dropped.isEmpty ? h[layer].base + rows * stride : dropped[layer].base
    }

    // MARK: Packed inputs of weight gradients

    /// Whether what a layer hands up is what it reads itself a step later: it is packed once then, `[T + 1][R][H]`, for
    /// both weights. With dropout each is packed by itself, `[T][R][H]`.
    var packsOutputsOnce: Bool { dropped.isEmpty }

    /// What the layer above `layer`, or the output layer, reads, packed by ``packOutput(layer:of:shard:)``.
    ///
    /// It takes the place of the cell states of the layer above, whose backward pass is over: nobody reads them after it
    /// but ``outcomes(of:)``, which is to be called before.
    func packedOutput(layer: Int) -> PackedInputs { packed(into: layer + 1 < c.count ? c[layer + 1] : packedBuffer) }

    /// The time step of a packed output that the first step of the window gave.
    var firstPackedOutput: Int { packsOutputsOnce ? 1 : 0 }

    /// What the layer's recurrent weight read: its packed outputs, or what ``packStates(layer:of:shard:)`` packed.
    func packedStates(layer: Int) -> PackedInputs {
        packsOutputsOnce ? packedOutput(layer: layer) : packed(into: packedBuffer)
    }

    func packOutput(layer: Int, of node: NodeRows, shard: Int) {
        packedOutput(layer: layer).pack(
            packsOutputsOnce ? h[layer].base : output(layer: layer), stride: stride, node, shard: shard)
    }

    /// With dropout only, layer by layer, and after the output layer's gradients.
    func packStates(layer: Int, of node: NodeRows, shard: Int) {
        packedStates(layer: layer).pack(h[layer].base, stride: stride, node, shard: shard)
    }

    private func packed(into buffer: FloatBuffer) -> PackedInputs {
        PackedInputs(
            base: buffer.base, timeSteps: packedSteps, rowsPerShard: geometry.rowsPerShard,
            columns: geometry.shape.hidden)
    }

    private var packedSteps: Int { Self.packedSteps(geometry) }

    private static func packedSteps(_ geometry: EngineGeometry) -> Int {
        geometry.dropout > 0 ? geometry.window : geometry.window + 1
    }

    // MARK: What goes in and comes out

    func load(_ work: [ShardWork]) {
        let (each, window, shape) = (geometry.rowsPerShard, geometry.window, geometry.shape)
        globalRows = work.flatMap { shard in (0..<each).map { shard.shard * each + $0 } }
        for (index, shard) in work.enumerated() {
            precondition(shard.inputs.count == each * window && shard.targets.count == each * window)
            precondition(shard.carry.count == each * shape.carryCount)
            precondition((shard.inputs + shard.targets).allSatisfy { $0 < shape.vocabulary }, "a token is none")
            for row in 0..<each {
                let place = index * each + row
                for time in 0..<window {
                    inputs[time * rows + place] = shard.inputs[row * window + time]
                    targets[time * rows + place] = shard.targets[row * window + time]
                }
            }
            shard.carry.withUnsafeBufferPointer { carry in
                for row in 0..<each {
                    for layer in 0..<shape.layers {
                        let from = carry.baseAddress! + row * shape.carryCount + layer * 2 * shape.hidden
                        let at = (index * each + row) * stride
                        (h[layer].base + at).update(from: from, count: shape.hidden)
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
            var carry: [Float] = []
            carry.reserveCapacity(each * shape.carryCount)
            for row in index * each..<(index + 1) * each {
                for layer in 0..<shape.layers {
                    let at = (window * rows + row) * stride
                    carry += UnsafeBufferPointer(start: h[layer].base + at, count: shape.hidden)
                    carry += UnsafeBufferPointer(start: c[layer].base + at, count: shape.hidden)
                }
            }
            return ShardOutcome(shard: shard.shard, loss: loss, carry: carry)
        }
    }
}
