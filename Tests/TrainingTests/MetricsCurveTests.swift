import Foundation
import Testing

@testable import Training

@Suite("The curve of a run")
struct MetricsCurveTests {
    @Test("Losses are read from whole lines, and nothing from torn ones")
    func reading() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("curve-\(UUID().uuidString).jsonl")
        defer { unlink(url.path) }
        let writer = try MetricsWriter(url: url, resumingAt: nil)
        for step in 1...3 {
            let record = StepRecord(
                step: UInt64(step), epoch: 1, loss: 1 / Double(step), gradientNorm: 1, learningRate: 1e-3,
                charactersPerSecond: 1, stepSeconds: 1, workers: 1, digest: UInt64(step))
            try writer.append(record, validationLoss: step == 2 ? 0.1 : nil)
        }
        let file = try FileHandle(forWritingTo: url)
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"step\":4,\"epoch\":1,\"loss\":0.2".utf8))
        let points = MetricsCurve(contentsOf: url).points
        #expect(
            points == [
                .init(step: 1, loss: 1),
                .init(step: 2, loss: 0.5, validationLoss: 0.1),
                .init(step: 3, loss: 1.0 / 3),
            ])
        try file.write(contentsOf: Data("\n".utf8))
        try writer.append(StepRecord.early, validationLoss: nil)
        #expect(MetricsCurve(contentsOf: url).points == points, "a line of an earlier step came behind")
        #expect(MetricsReader.history(in: url, upTo: 2) == .init(validations: [0.1]))
        let three = MetricsReader.history(in: url, upTo: 3)
        #expect(three.validations == [0.1] && three.unevaluated?.loss == 1.0 / 3)
        let again = MetricsReader.history(in: url, upTo: 2, pending: 2)
        #expect(again.validations == [] && again.unevaluated?.step == 2)
        let one = MetricsReader.history(in: url, upTo: 1)
        #expect(one.validations == [] && one.unevaluated?.step == 1)
        #expect(MetricsCurve(contentsOf: url.appendingPathComponent("none")).points.isEmpty)
    }

    @Test("The plot puts the highest loss at the top left of a falling curve, the lowest at the bottom right")
    func plot() {
        let points = (0...9).map { MetricsCurve.Point(step: UInt64($0 + 1), loss: 4 - Double($0) / 3) }
        let lines = CurvePlot(MetricsCurve(points: points), width: 10, height: 4).lines
        #expect(
            lines == [
                "  4.0000 |..", "  3.0000 |  ...", "  2.0000 |     ...", "  1.0000 |        ..",
                "         +----------", "          1       10",
            ])
    }

    @Test("Validation stands above the training loss; a constant, a point and nothing can be drawn too")
    func corners() {
        let both = [
            MetricsCurve.Point(step: 1, loss: 2), MetricsCurve.Point(step: 2, loss: 1, validationLoss: 2),
        ]
        let lines = CurvePlot(MetricsCurve(points: both), width: 8, height: 4).lines
        #expect(lines.first == "  2.0000 |.      o" && lines[3] == "  1.0000 |       .")
        let constant = (1...5).map { MetricsCurve.Point(step: $0, loss: 2) }
        #expect(CurvePlot(MetricsCurve(points: constant)).lines.count == 16)
        #expect(CurvePlot(MetricsCurve(points: [both[0]])).lines.isEmpty)
        #expect(CurvePlot(MetricsCurve(points: [])).lines.isEmpty)
    }

    @Test("Losses too large to be added or told apart are not drawn", arguments: [[1e308, -1e308], [1e308, 1e308]])
    func extremes(losses: [Double]) {
        let points = (1...40).map { MetricsCurve.Point(step: $0, loss: losses[$0 > 20 ? 1 : 0]) }
        #expect(CurvePlot(MetricsCurve(points: points), width: 8).lines.isEmpty)
    }
}

extension StepRecord {
    /// Of a step that others have passed.
    fileprivate static let early = StepRecord(
        step: 1, epoch: 1, loss: 9, gradientNorm: 1, learningRate: 1e-3, charactersPerSecond: 1, stepSeconds: 1,
        workers: 1,
        digest: 1)
}
