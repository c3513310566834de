import LanguageModel
import TestSupport
import Testing

@Suite("Parity of the optimizers with PyTorch")
struct OptimizerParityTests {
    @Test("The reference in Double follows every parameter", arguments: Fixtures.names("optim/"))
    func double(name: String) throws {
        try check(name, Double.self, "f64", tolerance: 1e-12, parameterTolerance: 1e-12)
    }

    @Test("The reference in Float follows every parameter", arguments: Fixtures.names("optim/"))
    func float(name: String) throws { try check(name, Float.self, "f32", tolerance: 5e-6, parameterTolerance: 5e-6) }

    private func check<Scalar: ReferenceScalar>(
        _ name: String, _: Scalar.Type, _ block: String, tolerance: Double, parameterTolerance: Double
    ) throws {
        let run = try OptimizerRun<Scalar>(name, block: block)
        var optimizer = ReferenceOptimizer<Scalar>(
            configuration: run.configuration, count: run.layout.count)
        try run.follow(tolerance: tolerance, parameterTolerance: parameterTolerance) {
            (parameters, gradient, _, coefficient) in
            optimizer.update(&parameters, gradient: gradient.map { $0 * coefficient })
        }
    }
}
