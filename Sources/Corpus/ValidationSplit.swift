/// Which characters train the model, and which are held out to judge it: the tail of the text, unless the last columns
/// of the rows are (``BatchedCorpus/columns(_:)``).
package struct ValidationSplit: Sendable, Equatable {
    /// What is held out.
    package enum Kind: String, Codable, CaseIterable, Sendable {
        /// The end of the text, before it is cut into rows.
        case tail
        /// The last windows of every row, as char-rnn's CharSplitLMMinibatchLoader does.
        case columns
    }

    /// In characters.
    package let training: Range<Int>
    /// Empty where nothing is held out.
    package let validation: Range<Int>

    /// The first `int(characters * (1 - fraction))` characters train, in Python's double arithmetic, so that a notebook's
    /// split is met to the character: 1,985,223 characters and 0.1 give 1,786,700 and 198,523.
    ///
    /// - Parameter fraction: at least 0 and below 1; 0 holds nothing out.
    /// - Throws: ``CorpusError/badValidation(fraction:)``.
    package init(characters: Int, fraction: Double) throws(CorpusError) {
        guard fraction >= 0, fraction < 1 else { throw .badValidation(fraction: fraction) }
        let cut = Int(Double(characters) * (1 - fraction))
        training = 0..<cut
        validation = cut..<characters
    }
}
