import LanguageModel
import TestSupport
import Testing

/// A fixture of `optim/`: a model that is trained for some steps with the state carried, its gradient clipped by norm.
struct OptimizerRun<Scalar: ReferenceScalar> {
    let name: String
    let configuration: OptimizerConfiguration
    let shape: ModelShape
    var layout: ParameterLayout { ParameterLayout(shape) }
    private let file: JSON
    private let wanted: JSON

    /// - Parameter block: `f64` or `f32`.
    init(_ name: String, block: String) throws {
        self.name = name
        file = try Fixtures.json(name)
        wanted = try file[block]
        shape = try ModelShape(file["config"])
        configuration = try OptimizerConfiguration(name: file["optimizer"].string, hyper: file["hyper"])
    }

    /// Trains with the reference's gradients and holds losses, norms and parameters against the fixture.
    ///
    /// - Parameter update: takes the parameters, the gradient, the number of the update from 1 and the coefficient that
    ///   clips the gradient.
    func follow(
        tolerance: Double, parameterTolerance: Double,
        update: (inout [Scalar], [Scalar], Int, Scalar) throws -> Void
    ) throws {
        let config = try file["config"]
        let (rows, window) = try (config["B"].int, config["T"].int)
        var model = ReferenceLSTM<Scalar>(
            shape: shape, parameters: try layout.flatten(file["f64"]["parameters_after"]["0"]))
        var carry: [Scalar]?
        let (inputs, targets) = try (file["x_index"].array, file["target"].array)
        let (losses, norms) = try (wanted["loss"].doubles, wanted["grad_norm_before_clip"].doubles)
        let after = try wanted["parameters_after"]
        #expect(!after.keys.isEmpty)
        for step in 0..<(try config["steps"].int) {
            let batch = ReferenceBatch(
                shape: shape, rows: rows, window: window, input: .tokens(try inputs[step].ints), carry: carry)
            let forward = model.forward(batch)
            let loss = ReferenceCrossEntropy(
                logits: forward.logits, targets: try targets[step].ints, classes: shape.vocabulary)
            let gradient = model.backward(forward, logitGradient: loss.gradient).parameters
            let norm = ReferenceClipping.norm(gradient)
            let coefficient = ReferenceClipping.coefficient(norm: norm, largest: Scalar(try config["max_norm"].double))
            try update(&model.parameters, gradient, step + 1, coefficient)
            carry = forward.carry
            expectClose(loss.mean, losses[step], tolerance, "\(name) loss of step \(step)")
            expectClose(norm, norms[step], tolerance, "\(name) norm of step \(step)")
            if let parameters = after[optional: String(step + 1)] {
                expectClose(
                    model.parameters, try layout.flatten(parameters), parameterTolerance,
                    "\(name) parameters after \(step + 1)")
            }
        }
    }
}
