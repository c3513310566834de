import LanguageModel
import TestSupport
import Testing

@Suite("Parity of clipping and loss with PyTorch")
struct LossParityTests {
    @Test("Gradients are clipped by norm and by value", arguments: Fixtures.names("clip"))
    func clipping(name: String) throws {
        for entry in try Fixtures.json(name)["cases"].array {
            let gradient = try entry["grads"].doubles
            let clipped: [Double]
            switch try entry["op"].string {
            case "clip_grad_norm_":
                let kind = try entry["norm_type"]
                let norm = ReferenceClipping.norm(gradient, (try? kind.string) == "inf" ? .largest : .euclidean)
                #expect(try (try? kind.string) == "inf" || kind.double == 2)
                expectClose(norm, try entry["total_norm"].double, 1e-12, "norm")
                let coefficient = ReferenceClipping.coefficient(norm: norm, largest: try entry["max_norm"].double)
                clipped = gradient.map { $0 * coefficient }
            default: clipped = ReferenceClipping.clamped(gradient, to: try entry["clip_value"].double)
            }
            expectClose(clipped, try entry["clipped"].doubles, 1e-12, try entry["op"].string)
        }
    }

    @Test("Cross-entropy agrees on losses, logarithms and gradient", arguments: Fixtures.names("cross_entropy"))
    func crossEntropy(name: String) throws {
        for entry in try Fixtures.json(name)["cases"].array {
            let targets = try entry["target"].ints
            let logits = try entry["logits"].doubles
            let loss = ReferenceCrossEntropy(
                logits: logits, targets: targets, classes: logits.count / targets.count,
                labelSmoothing: try entry["label_smoothing"].double)
            let what = try entry["name"].string
            expectClose(loss.losses, try entry["per_row"].doubles, 1e-12, "\(what) losses")
            expectClose(loss.mean, try entry["mean"].double, 1e-12, "\(what) mean")
            expectClose(loss.gradient, try entry["grad_of_mean"].doubles, 1e-12, "\(what) gradient")
            expectClose(loss.logSoftmax, try entry["log_softmax"].doubles, 1e-12, "\(what) logarithms")
        }
    }
}
