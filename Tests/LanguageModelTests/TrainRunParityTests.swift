import Kernels
import LanguageModel
import TestSupport
import Testing

@Suite("Parity of a whole training run with PyTorch")
struct TrainRunParityTests {
    @Test("The batches and initial weights are PyTorch's", arguments: Fixtures.names("train_run"))
    func start(name: String) throws {
        let run = try TrainingRun(name)
        #expect(Array(run.encoded.prefix(20)) == (try run.file["encoded_first20"].ints))
        let (first, last) = try (#require(run.training.first), #require(run.training.last))
        #expect(first.inputs + first.targets == (try run.file["first_batch"].ints))
        #expect(last.inputs + last.targets == (try run.file["last_batch"].ints))
        let layout = ParameterLayout(run.shape)
        let drawn = Initializer.torch.initialise(layout: layout, shape: run.shape, seed: run.seed, forgetBias: nil)
        #expect(drawn.array.map(Double.init) == (try layout.flatten(run.file["initial_parameters"])))
    }

    @Test("The reference in Double ends with PyTorch's weights", arguments: Fixtures.names("train_run"))
    func double(name: String) throws { try check(name, Double.self, "f64", tolerance: 1e-9) }

    @Test("The reference in Float has PyTorch's losses", arguments: Fixtures.names("train_run"))
    func float(name: String) throws { try check(name, Float.self, "f32", tolerance: nil) }

    /// - Parameter tolerance: nil for what Float can hold.
    private func check<Scalar: ReferenceScalar>(
        _ name: String, _: Scalar.Type, _ block: String, tolerance: Double?
    ) throws {
        let run = try TrainingRun(name)
        let wanted = try run.file[block]
        let layout = ParameterLayout(run.shape)
        let drawn = Initializer.torch.initialise(layout: layout, shape: run.shape, seed: run.seed, forgetBias: nil)
        var model = ReferenceLSTM(shape: run.shape, parameters: drawn.array.map { Scalar($0) })
        var optimizer = ReferenceOptimizer<Scalar>(configuration: run.optimizer, count: layout.count)
        func forward(
            _ window: (inputs: [Int], targets: [Int]), _ carry: [Scalar]?
        ) -> (ReferenceForward<Scalar>, ReferenceCrossEntropy<Scalar>) {
            let batch = ReferenceBatch(
                shape: run.shape, rows: run.rows, window: run.window, input: .tokens(window.inputs), carry: carry)
            let forward = model.forward(batch)
            return (
                forward,
                ReferenceCrossEntropy(
                    logits: forward.logits, targets: window.targets, classes: run.shape.vocabulary)
            )
        }
        var losses: [Scalar] = []
        var norms: [Scalar] = []
        var validation: [Scalar] = []
        for _ in 0..<run.epochs {
            var carry: [Scalar]?
            for window in run.training {
                let (there, loss) = forward(window, carry)
                let gradient = model.backward(there, logitGradient: loss.gradient).parameters
                let norm = ReferenceClipping.norm(gradient)
                let coefficient = ReferenceClipping.coefficient(norm: norm, largest: Scalar(run.largestNorm))
                optimizer.update(&model.parameters, gradient: gradient.map { $0 * coefficient })
                losses.append(loss.mean)
                norms.append(norm)
                carry = there.carry
            }
            carry = nil
            var total: Scalar = 0
            for window in run.validation {
                let (there, loss) = forward(window, carry)
                total += loss.mean
                carry = there.carry
            }
            validation.append(total / Scalar(run.validation.count))
        }
        for (values, key) in [(losses, "loss"), (norms, "grad_norm"), (validation, "val_loss")] {
            expectClose(values, try wanted[key].doubles, try tolerance ?? run.floatTolerance(key), key)
        }
        if let tolerance {
            expectClose(
                model.parameters, try layout.flatten(wanted["final_parameters"]), tolerance, "final weights")
        }
        #expect(run.text(greedy(model, run, count: 60)) == (try wanted["greedy_60_after_first_char"].string))
    }

    /// The most likely characters that follow the first of the text.
    private func greedy<Scalar: ReferenceScalar>(
        _ model: ReferenceLSTM<Scalar>, _ run: TrainingRun, count: Int
    ) -> [Int] {
        var tokens = [run.encoded[0]]
        var carry: [Scalar]?
        while tokens.count <= count {
            let forward = model.forward(
                ReferenceBatch(
                    shape: run.shape, rows: 1, window: 1, input: .tokens([tokens.last!]), carry: carry))
            tokens.append(forward.logits.firstIndex(of: forward.logits.max()!)!)
            carry = forward.carry
        }
        return Array(tokens.dropFirst())
    }
}
