import Kernels
import LanguageModel
import Testing

@Suite("Parity of the fast path with PyTorch")
struct FastPathParityTests {
    @Test(
        "Loss, state and every gradient agree, in one shard and in one for each row",
        arguments: Fixtures.names("lstm_f32"))
    func gradients(name: String) throws {
        try forEachCase(name) { (example, what) throws in
            for shards in Set([1, example.rows]) {
                let geometry = EngineGeometry(
                    shape: example.shape, batch: example.rows, window: example.window, shards: shards, dropout: 0,
                    seed: 0)
                let each = geometry.rowsPerShard
                let work = (0..<shards).map { shard in
                    let tokens = shard * each * example.window..<(shard + 1) * each * example.window
                    let carried =
                        shard * each * example.shape.carryCount..<(shard + 1) * each * example.shape.carryCount
                    return ShardWork(
                        shard: shard, inputs: Array(example.inputs[tokens]), targets: Array(example.targets[tokens]),
                        carry: Array(example.carry[carried]))
                }
                let nodes = (0..<shards).map {
                    GradientNode(shards: $0..<$0 + 1, gradient: FloatBuffer(count: example.layout.count))
                }
                let outcomes = GradientEngine(geometry: geometry, threads: 2).run(
                    step: 0, parameters: example.parameters, work: work, nodes: nodes
                ) { _ in }
                let sum = FloatBuffer(count: example.layout.count)
                for node in nodes { add(sum, node.gradient, into: sum, count: sum.count) }
                for entry in example.layout.entries {
                    expectClose(
                        Array(sum.array[entry.range]), try example.wanted["grad"][entry.name].doubles, 2e-6,
                        "\(what) \(entry.name), \(shards) shards")
                }
                let loss = outcomes.reduce(0) { $0 + $1.loss } / Double(example.rows * example.window)
                expectClose(loss, try example.wanted["loss"].double, 2e-6, "\(what) loss")
                try example.expectCarry(outcomes.flatMap(\.carry), what)
            }
        }
    }

    @Test("The forward engine has the logits, the loss and the state", arguments: Fixtures.names("lstm_f32"))
    func forward(name: String) throws {
        try forEachCase(name) { (example, what) throws in
            let engine = ForwardEngine(shape: example.shape, parameters: example.parameters, threads: 2)
            let state = ForwardState(shape: example.shape, rows: example.rows)
            state.carry = example.carry
            let loss = engine.loss(
                inputs: example.inputs, targets: example.targets, window: example.window, state)
            expectClose(
                loss / Double(example.rows * example.window), try example.wanted["loss"].double, 2e-6, "\(what) loss")
            try example.expectCarry(state.carry, what)
            state.carry = example.carry
            let wanted = try example.wanted["logits"].doubles
            let vocabulary = example.shape.vocabulary
            for time in 0..<example.window {
                let places = (0..<example.rows).map { $0 * example.window + time }
                engine.step(tokens: places.map { example.inputs[$0] }, state)
                expectClose(
                    (0..<example.rows).flatMap { state.logits(row: $0) },
                    places.flatMap { wanted[$0 * vocabulary..<($0 + 1) * vocabulary] }, 2e-6,
                    "\(what) logits at \(time)")
            }
            try example.expectCarry(state.carry, what)
        }
    }

    @Test("The fused optimizers follow every parameter", arguments: Fixtures.names("optim/"))
    func optimizers(name: String) throws {
        let run = try OptimizerRun<Float>(name, block: "f32")
        let optimizer = Optimizer(configuration: run.configuration, count: run.layout.count)
        try run.follow(tolerance: 5e-6, parameterTolerance: 5e-6) { (parameters, gradient, update, coefficient) in
            let buffer = FloatBuffer(parameters)
            let scalars = Optimizer.scalars(
                configuration: run.configuration, update: UInt64(update),
                learningRate: run.configuration.learningRate, clipCoefficient: Double(coefficient))
            optimizer.apply(gradient: FloatBuffer(gradient), to: buffer, scalars: scalars)
            parameters = buffer.array
        }
    }

    @Test("A whole training run has PyTorch's losses and text", arguments: Fixtures.names("train_run"))
    func trainingRun(name: String) throws {
        let run = try TrainingRun(name)
        let wanted = try run.file["f32"]
        let layout = ParameterLayout(run.shape)
        var shards = 1
        while shards < 16, run.rows % (shards * 2) == 0 { shards *= 2 }
        let geometry = EngineGeometry(
            shape: run.shape, batch: run.rows, window: run.window, shards: shards, dropout: 0, seed: run.seed)
        let (each, carried) = (geometry.rowsPerShard, geometry.rowsPerShard * run.shape.carryCount)
        let engine = GradientEngine(geometry: geometry, threads: 2)
        let parameters = Initializer.torch.initialise(
            layout: layout, shape: run.shape, seed: run.seed, forgetBias: nil)
        let optimizer = Optimizer(configuration: run.optimizer, count: layout.count)
        let gradient = FloatBuffer(count: layout.count)
        let zero = [Float](repeating: 0, count: run.rows * run.shape.carryCount)
        let tokens = Double(run.rows * run.window)
        var (losses, norms, validation) = ([Double](), [Double](), [Double]())
        for _ in 0..<run.epochs {
            var carry = zero
            for window in run.training {
                let work = (0..<shards).map { shard in
                    let part = shard * each * run.window..<(shard + 1) * each * run.window
                    return ShardWork(
                        shard: shard, inputs: window.inputs[part].map { UInt32($0) },
                        targets: window.targets[part].map { UInt32($0) },
                        carry: Array(carry[shard * carried..<(shard + 1) * carried]))
                }
                let outcomes = engine.run(
                    step: UInt64(losses.count), parameters: parameters, work: work,
                    nodes: [GradientNode(shards: 0..<shards, gradient: gradient)]
                ) { _ in }
                let norm = sumOfSquares(gradient, range: 0..<layout.count).squareRoot()
                losses.append(outcomes.reduce(0) { $0 + $1.loss } / tokens)
                norms.append(norm)
                carry = outcomes.flatMap(\.carry)
                let scalars = Optimizer.scalars(
                    configuration: run.optimizer, update: UInt64(losses.count),
                    learningRate: run.optimizer.learningRate,
                    clipCoefficient: min(1, run.largestNorm / (norm + 1e-6)))
                optimizer.apply(gradient: gradient, to: parameters, scalars: scalars)
            }
            let forward = ForwardEngine(shape: run.shape, parameters: parameters, threads: 1)
            let state = ForwardState(shape: run.shape, rows: run.rows)
            let total = run.validation.reduce(0) { sum, window in
                sum
                    + forward.loss(
                        inputs: window.inputs.map { UInt32($0) }, targets: window.targets.map { UInt32($0) },
                        window: run.window, state)
            }
            validation.append(total / tokens / Double(run.validation.count))
        }
        for (values, key) in [(losses, "loss"), (norms, "grad_norm"), (validation, "val_loss")] {
            expectClose(values, try wanted[key].doubles, try run.floatTolerance(key), key)
        }

        let forward = ForwardEngine(shape: run.shape, parameters: parameters, threads: 1)
        var sampler = try Sampler(temperature: 0, seed: 0)
        let state = ForwardState(shape: run.shape, rows: 1)
        var text = [run.encoded[0]]
        while text.count <= 60 {
            forward.step(tokens: [UInt32(text.last!)], state)
            text.append(try sampler.next(logits: state.logits(row: 0)))
        }
        #expect(run.text(Array(text.dropFirst())) == (try wanted["greedy_60_after_first_char"].string))
    }

    /// A case of an `lstm_f32` fixture whose input is tokens.
    private struct Example {
        let shape: ModelShape
        let rows: Int
        let window: Int
        let parameters: FloatBuffer
        let inputs: [UInt32]
        let targets: [UInt32]
        let carry: [Float]
        let wanted: JSON
        var layout: ParameterLayout { ParameterLayout(shape) }

        func expectCarry(_ carry: [Float], _ what: String) throws {
            let last = pair(carry: carry, rows: rows, shape: shape)
            expectClose(last.hidden, try wanted["hn"].doubles, 2e-6, "\(what) hn")
            expectClose(last.cell, try wanted["cn"].doubles, 2e-6, "\(what) cn")
        }
    }

    private func forEachCase(_ name: String, _ body: (Example, String) throws -> Void) throws {
        let file = try Fixtures.json(name)
        let config = try file["config"]
        let shape = try ModelShape(config)
        let (rows, window) = try (config["B"].int, config["T"].int)
        let start: [Float] = carry(
            hidden: try file["h0"].scalars(), cell: try file["c0"].scalars(), rows: rows, shape: shape)
        let keys = try file["cases"].keys.filter { $0.hasPrefix("onehot") }
        #expect(!keys.isEmpty)
        for key in keys {
            let example = Example(
                shape: shape, rows: rows, window: window,
                parameters: FloatBuffer(try ParameterLayout(shape).flatten(file["parameters"], as: Float.self)),
                inputs: try file["x_index"].ints.map { UInt32($0) },
                targets: try file["target"].ints.map { UInt32($0) },
                carry: key.hasSuffix("zero_state") ? start.map { _ in 0 } : start, wanted: try file["cases"][key])
            try body(example, "\(name) \(key)")
        }
    }
}
