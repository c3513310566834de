package import Corpus
package import Kernels
package import LanguageModel

/// The losses of a model on a text, segment by segment. Forward only, dropout off.
package struct TextScorer {
    /// Segments that a thread takes side by side: enough rows to fill the products.
    private static let rowsPerThread = 64
    /// Characters that a row is taken on at a time.
    private static let stride = 128

    private let engine: ForwardEngine
    private let shape: ModelShape
    private let corpus: EncodedCorpus
    private let plan: ScoringPlan
    private let rows: Int

    /// - Parameter corpus: encoded by the model's own vocabulary, and as long as the plan says.
    package init(shape: ModelShape, parameters: FloatBuffer, corpus: EncodedCorpus, plan: ScoringPlan, threads: Int) {
        precondition(corpus.count == plan.characters && corpus.vocabulary.count == shape.vocabulary)
        engine = ForwardEngine(shape: shape, parameters: parameters, threads: threads)
        self.shape = shape
        self.corpus = corpus
        self.plan = plan
        rows = Self.rowsPerThread * threads
    }

    /// - Parameter body: called with the losses of each segment in turn, in nats, one a scored character.
    /// - Throws: ``ConfigurationError`` where a loss is not finite, or what `body` throws.
    package func score(segments: Range<Int>, _ body: (_ segment: Int, _ losses: [Double]) throws -> Void) throws {
        for first in Swift.stride(from: segments.lowerBound, to: segments.upperBound, by: rows) {
            let group = first..<min(first + rows, segments.upperBound)
            for (segment, losses) in zip(group, score(group)) {
                guard losses.allSatisfy(\.isFinite) else {
                    throw ConfigurationError(
                        "the model's output is not finite: its training diverged; take an earlier checkpoint")
                }
                try body(segment, losses)
            }
        }
    }

    private func score(_ group: Range<Int>) -> [[Double]] {
        let spans = group.map { plan.inputs($0) }
        let skipped = group.map { plan.targets($0).lowerBound - 1 - plan.inputs($0).lowerBound }
        let longest = spans.map(\.count).max()!
        let state = ForwardState(shape: shape, rows: group.count)
        var found = group.map { segment -> [Double] in
            var losses: [Double] = []
            losses.reserveCapacity(plan.targets(segment).count)
            return losses
        }
        for start in Swift.stride(from: 0, to: longest, by: Self.stride) {
            let width = min(Self.stride, longest - start)
            // A row that has ended goes on with the first character, and nobody looks at what it gets.
            var inputs = [UInt32](repeating: 0, count: group.count * width)
            var targets = inputs
            for (row, span) in spans.enumerated() {
                let count = min(width, span.count - start)
                guard count > 0 else { continue }
                let at = span.lowerBound + start
                let tokens = corpus.tokens(at..<at + count + 1)
                inputs.replaceSubrange(row * width..<row * width + count, with: tokens.dropLast())
                targets.replaceSubrange(row * width..<row * width + count, with: tokens.dropFirst())
            }
            let losses = engine.losses(inputs: inputs, targets: targets, window: width, state)
            for row in spans.indices {
                let own = max(start, skipped[row])..<max(start, skipped[row], min(start + width, spans[row].count))
                for time in own { found[row].append(losses[(time - start) * group.count + row]) }
            }
        }
        return found
    }
}
