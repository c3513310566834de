import Coordination
import Corpus
import Kernels
import LanguageModel

/// The loss of a model on held-out text: forward only, dropout off.
///
/// The text is rows that lie side by side, as those of a training batch do. A row is a segment: its loss is one sum over
/// its characters in order, from a carry of zero, and depends on the parameters and the row alone. The loss of the text
/// is the sum over the rows in order. So whoever computes which rows, with however many threads, the bits are the same.
enum Evaluation {
    /// A longer row takes too long to wait for, and to send.
    private static let longestRow = 1 << 20

    /// The held-out text as rows: as many as the training batch has, or fewer where the text is short. A pure function
    /// of the configuration and the text, so every run of it agrees.
    ///
    /// - Returns: nil where not even one window of one row fits.
    static func batches(_ corpus: EncodedCorpus, range: Range<Int>, batch: Int, window: Int) -> BatchedCorpus? {
        // A tenth of the rows' windows must be full at least: short rows lose most of their context.
        let wide = max(1, min(batch, range.count / (window * 10)), range.count / longestRow)
        let rows = min(wide, Wire.maximumShards)
        return try? BatchedCorpus(corpus: corpus, range: range, batch: rows, window: window)
    }

    /// Each row's summed loss in nats.
    ///
    /// - Parameters:
    ///   - tokens: of each row, whole windows and one token more: the targets are the inputs shifted by one.
    ///   - isStateless: the carry is zero at every window.
    /// - Returns: nil when abandoned.
    static func losses(
        parameters: FloatBuffer, shape: ModelShape, tokens: [[UInt32]], window: Int, isStateless: Bool, threads: Int,
        isAbandoned: () -> Bool
    ) -> [Double]? {
        let engine = ForwardEngine(shape: shape, parameters: parameters, threads: min(threads, tokens.count))
        let state = ForwardState(shape: shape, rows: tokens.count)
        var sums = [Double](repeating: 0, count: tokens.count)
        for start in stride(from: 0, to: tokens[0].count - 1, by: window) {
            if isAbandoned() { return nil }
            if isStateless { state.reset() }
            let losses = engine.losses(
                inputs: tokens.flatMap { $0[start..<start + window] },
                targets: tokens.flatMap { $0[start + 1...start + window] }, window: window, state)
            for time in 0..<window {
                for row in tokens.indices { sums[row] += losses[time * tokens.count + row] }
            }
        }
        return sums
    }

    /// Nats a character.
    ///
    /// - Parameter rowLosses: of all rows, in order.
    static func loss(rowLosses: [Double], batches: BatchedCorpus) -> Double {
        rowLosses.reduce(0, +) / Double(batches.usedCharacters)
    }
}

extension BatchedCorpus {
    /// A row's windows as one run, and the target of its last character.
    func run(row: Int) -> [UInt32] {
        var run: [UInt32] = []
        run.reserveCapacity(windows * window + 1)
        for index in 0..<windows {
            let tokens = tokens(rows: row..<row + 1, window: index)
            run += index + 1 < windows ? tokens.dropLast() : tokens
        }
        return run
    }
}
