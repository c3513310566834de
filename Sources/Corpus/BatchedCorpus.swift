/// A text cut for training as the char-RNN notebooks cut it: `B` rows side by side, read in windows of `T` columns.
///
/// With `N` characters there are `n = N / (B * T)` windows; the first `n * B * T` characters are kept and make `B` rows
/// of `n * T`. Window `k` is columns `kT ..< (k + 1)T` of every row, and the targets are the inputs shifted by one.
///
/// The trap: the last column of the last window has no successor within its row. Its target is the row's OWN first
/// character, as in the notebooks, not the first of the next row.
package struct BatchedCorpus: Sendable {
    package let corpus: EncodedCorpus
    /// What was cut, tail included, in characters of the corpus.
    package let range: Range<Int>
    /// `B`.
    package let batch: Int
    /// `T`.
    package let window: Int
    /// `n`, how many windows an epoch has.
    package let windows: Int
    /// Where the windows begin among those of a row; not 0 where the first columns are another's.
    private let firstWindow: Int
    /// Windows of a row, whoever has them.
    private let allWindows: Int

    /// - Parameter part: what messages call the range; by default the corpus's name.
    /// - Throws: ``CorpusError/tooShort(part:present:batch:window:)`` where the range has fewer than `B * T` characters,
    ///   ``CorpusError/badBatch(batch:window:)`` where either is below 1.
    package init(
        corpus: EncodedCorpus, range: Range<Int>? = nil, batch: Int, window: Int, part: String? = nil
    ) throws(CorpusError) {
        let range = range ?? 0..<corpus.count
        precondition(range.lowerBound >= 0 && range.upperBound <= corpus.count)
        guard batch >= 1, window >= 1 else { throw .badBatch(batch: batch, window: window) }
        let (needed, overflow) = batch.multipliedReportingOverflow(by: window)
        guard !overflow, range.count >= needed else {
            throw .tooShort(part: part ?? corpus.source.name, present: range.count, batch: batch, window: window)
        }
        self.corpus = corpus
        self.range = range
        self.batch = batch
        self.window = window
        windows = range.count / needed
        firstWindow = 0
        allWindows = windows
    }

    private init(_ whole: BatchedCorpus, windows columns: Range<Int>) {
        corpus = whole.corpus
        range = whole.range
        batch = whole.batch
        window = whole.window
        firstWindow = whole.firstWindow + columns.lowerBound
        windows = columns.count
        allWindows = whole.allWindows
    }

    /// Some windows of every row, of an epoch of their own. The target of the last column is the character that follows
    /// in the row, whoever has it.
    package func columns(_ columns: Range<Int>) -> BatchedCorpus {
        precondition(columns.lowerBound >= 0 && columns.upperBound <= windows && !columns.isEmpty)
        return BatchedCorpus(self, windows: columns)
    }

    /// The windows that train and those that are held out, as char-rnn splits them: the first
    /// `floor(n * (1 - fraction))` train.
    ///
    /// - Throws: ``CorpusError/badValidation(fraction:)``; ``CorpusError/tooFewWindows(part:windows:fraction:)`` where
    ///   one of the two has none.
    package func split(holdingOut fraction: Double) throws(CorpusError) -> (
        training: BatchedCorpus, validation: BatchedCorpus
    ) {
        guard fraction > 0, fraction < 1 else { throw .badValidation(fraction: fraction) }
        let cut = Int(Double(windows) * (1 - fraction))
        guard cut >= 1, cut < windows else {
            throw .tooFewWindows(part: corpus.source.name, windows: windows, fraction: fraction)
        }
        return (columns(0..<cut), columns(cut..<windows))
    }

    /// The characters of a row, those of other columns included.
    package var rowLength: Int { allWindows * window }

    /// The characters that are read in an epoch; the rest of the range is the dropped tail, or other columns.
    package var usedCharacters: Int { batch * windows * window }

    /// Where a row begins, in characters of the corpus.
    package func rowStart(_ row: Int) -> Int { range.lowerBound + row * rowLength }

    /// A window of some rows with the character after it: row-major, rows x (T + 1). Of each row the first `T` are the
    /// inputs and the last `T` the targets.
    package func tokens(rows: Range<Int>, window index: Int) -> [UInt32] {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= batch && index >= 0 && index < windows)
        let width = window + 1
        let index = firstWindow + index
        return [UInt32](unsafeUninitializedCapacity: rows.count * width) { buffer, initialized in
            for (offset, row) in rows.enumerated() {
                let own = UnsafeMutableBufferPointer(rebasing: buffer[offset * width..<(offset + 1) * width])
                let start = rowStart(row) + index * window
                if index + 1 < allWindows {
                    corpus.copyTokens(start..<start + width, to: own)
                } else {
                    corpus.copyTokens(start..<start + window, to: own)
                    own[window] = corpus[rowStart(row)]
                }
            }
            initialized = rows.count * width
        }
    }

    /// A window of some rows: inputs and targets, each row-major, rows x `T`.
    package func batch(rows: Range<Int>, window index: Int) -> (inputs: [UInt32], targets: [UInt32]) {
        let tokens = tokens(rows: rows, window: index)
        let width = window + 1
        var inputs: [UInt32] = []
        var targets: [UInt32] = []
        inputs.reserveCapacity(rows.count * window)
        targets.reserveCapacity(rows.count * window)
        for start in stride(from: 0, to: tokens.count, by: width) {
            inputs += tokens[start..<start + window]
            targets += tokens[start + 1..<start + width]
        }
        return (inputs, targets)
    }
}
