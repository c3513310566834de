import Corpus
import Kernels
import LanguageModel

/// The loss of a model on held-out text: forward only, dropout off.
enum Evaluation {
    /// The held-out text as rows: as many as the training batch has, or fewer where the text is short. A pure function
    /// of the configuration and the text, so every run of it agrees.
    ///
    /// - Returns: nil where not even one window of one row fits.
    static func batches(_ corpus: EncodedCorpus, range: Range<Int>, batch: Int, window: Int) -> BatchedCorpus? {
        // A tenth of the rows' windows must be full at least: short rows lose most of their context.
        let rows = max(1, min(batch, range.count / (window * 10)))
        return try? BatchedCorpus(corpus: corpus, range: range, batch: rows, window: window)
    }

    /// Mean loss in nats a character; nil when abandoned.
    static func loss(
        parameters: FloatBuffer, shape: ModelShape, batches: BatchedCorpus, isStateless: Bool,
        isAbandoned: () -> Bool
    ) -> Double? {
        let engine = ForwardEngine(shape: shape, parameters: parameters, threads: 1)
        let zero = [Float](repeating: 0, count: batches.batch * shape.carryCount)
        var carry = zero
        var sum = 0.0
        for window in 0..<batches.windows {
            if isAbandoned() { return nil }
            if isStateless { carry = zero }
            let (inputs, targets) = batches.batch(rows: 0..<batches.batch, window: window)
            sum += engine.loss(
                inputs: inputs, targets: targets, rows: batches.batch, window: batches.window, carry: &carry)
        }
        return sum / Double(batches.usedCharacters)
    }
}
