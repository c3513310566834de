import LanguageModel

/// What a worker's resident memory comes to, by the formula in docs/performance.md.
enum MemoryEstimate {
    /// In bytes.
    static func worker(_ configuration: RunConfiguration, workers: Int) -> Int {
        let (shape, parameters) = (configuration.model, configuration.layout.count)
        let shards = (configuration.shards + workers - 1) / workers
        let (rows, window) = (shards * configuration.rowsPerShard, configuration.window)
        let (layers, hidden) = (shape.layers, shape.hidden)
        var activations = rows * window * (layers * 6 * hidden + hidden)
        if configuration.dropout > 0 { activations += rows * window * layers * hidden }
        let logits = min(4 << 20, rows * window * shape.vocabulary)
        let slots = Optimizer(configuration: configuration.optimizer, count: 0).slots.count
        // Parameters, slots, two averages and two gradients in turn, and the packed weights forward and backward.
        let copies = parameters * (1 + slots + 2 + 2 + 2)
        // The program itself, its libraries, stacks and the transport's buffers.
        let program = 30 << 20
        return 4 * (activations + logits + copies) + program
    }
}
