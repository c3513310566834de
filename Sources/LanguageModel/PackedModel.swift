import Kernels

/// A model's weights in the panels that the products read, made from the flat parameters once a step.
final class PackedModel: Sendable {
    // Written in `pack` only, before the threads that read it start.
    let shape: ModelShape
    private let layout: ParameterLayout
    /// `[V][4H]`, rows `tableStride` floats apart: what layer 0 gets from a character, biases included.
    private let table: FloatBuffer
    private let tableStride: Int
    /// `b_ih + b_hh` of each layer, `[4H]`.
    let biases: [FloatBuffer]
    let outputBias: FloatBuffer
    /// `[H]`.
    let zeros: FloatBuffer
    /// Weights of the products `x W_ih^T`, for the layers from 1 on.
    let input: [PackedWeight]
    let recurrent: [PackedWeight]
    let output: PackedWeight
    /// For the backward pass: `dgates W`, and `dlogits W` of the output layer. Gradients go from a time step to the one
    /// before, so a window of one step needs no recurrent ones.
    let inputBack: [PackedWeight]
    let recurrentBack: [PackedWeight]
    let outputBack: PackedWeight?

    /// - Parameter window: time steps of the backward pass; nil where there is a forward pass alone.
    init(shape: ModelShape, backwardWindow window: Int?) {
        self.shape = shape
        layout = ParameterLayout(shape)
        let h = shape.hidden
        tableStride = RowStride.of(columns: 4 * h)
        table = FloatBuffer(count: shape.vocabulary * tableStride)
        biases = (0..<shape.layers).map { _ in FloatBuffer(count: 4 * h) }
        outputBias = FloatBuffer(count: shape.vocabulary)
        zeros = FloatBuffer(count: h)
        input = (1..<max(shape.layers, 1)).map { _ in PackedWeight(columns: 4 * h, inner: h) }
        recurrent = (0..<shape.layers).map { _ in PackedWeight(columns: 4 * h, inner: h) }
        output = PackedWeight(columns: shape.vocabulary, inner: h)
        inputBack = window != nil ? (1..<max(shape.layers, 1)).map { _ in PackedWeight(columns: h, inner: 4 * h) } : []
        let isRecurrent = (window ?? 0) > 1
        recurrentBack = isRecurrent ? (0..<shape.layers).map { _ in PackedWeight(columns: h, inner: 4 * h) } : []
        outputBack = window != nil ? PackedWeight(columns: h, inner: shape.vocabulary) : nil
    }

    /// What layer 0 gets from a character, biases included: `[4H]`.
    func input(of token: UInt32) -> UnsafePointer<Float> { UnsafePointer(table.base + Int(token) * tableStride) }

    func pack(_ parameters: FloatBuffer, pool: ComputePool) {
        precondition(parameters.count == layout.count)
        nonisolated(unsafe) let p = parameters.base
        let layout = layout
        func start(_ parameter: Parameter) -> Int { layout[parameter].range.lowerBound }
        var tasks: [@Sendable () -> Void] = []
        for layer in 0..<shape.layers {
            let recurrentStart = start(.recurrentWeight(layer: layer))
            let recurrent = recurrent[layer]
            tasks.append { recurrent.packTransposed(p + recurrentStart) }
            if !recurrentBack.isEmpty {
                let back = recurrentBack[layer]
                tasks.append { back.pack(p + recurrentStart) }
            }
            if layer > 0 {
                let inputStart = start(.inputWeight(layer: layer))
                let input = input[layer - 1]
                tasks.append { input.packTransposed(p + inputStart) }
                if !inputBack.isEmpty {
                    let back = inputBack[layer - 1]
                    tasks.append { back.pack(p + inputStart) }
                }
            }
            if shape.bias {
                let first = start(.inputBias(layer: layer))
                let second = start(.recurrentBias(layer: layer))
                for unit in 0..<4 * shape.hidden { biases[layer].base[unit] = p[first + unit] + p[second + unit] }
            }
        }
        let outputStart = start(.outputWeight)
        let output = output
        tasks.append { output.packTransposed(p + outputStart) }
        if let outputBack { tasks.append { outputBack.pack(p + outputStart) } }
        outputBias.base.update(from: p + start(.outputBias), count: shape.vocabulary)
        let tableStart = start(.inputWeight(layer: 0))
        tasks.append { self.fillTable(p + tableStart) }
        let all = tasks
        pool.run(.pack, tasks: all.count) { task, _ in all[task]() }
    }

    /// - Parameter weights: of layer 0's input, `[4H][V]`.
    private func fillTable(_ weights: UnsafePointer<Float>) {
        let (count, vocabulary) = (4 * shape.hidden, shape.vocabulary)
        let (bias, target) = (biases[0].base, table.base)
        // As many units as are a cache line: it is written once.
        for first in stride(from: 0, to: count, by: 16) {
            let units = first..<min(first + 16, count)
            for token in 0..<vocabulary {
                // One rounding, as the multiply-add of a one-hot input: fma(1, w, bias).
                for unit in units {
                    target[token * tableStride + unit] = bias[unit] + weights[unit * vocabulary + token]
                }
            }
        }
    }
}
