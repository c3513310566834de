package import Corpus
package import LanguageModel

/// Texts from a model, computed side by side, one character of each at a time. A row's text depends on its sampler alone,
/// not on the rows beside it.
package final class TextGenerator {
    private let engine: ForwardEngine
    private let vocabulary: Vocabulary
    private var samplers: [Sampler]
    private let state: ForwardState
    private var hasRead = false

    /// - Parameter samplers: one a row.
    package init(engine: ForwardEngine, shape: ModelShape, vocabulary: Vocabulary, samplers: [Sampler]) {
        precondition(vocabulary.count == shape.vocabulary)
        self.engine = engine
        self.vocabulary = vocabulary
        self.samplers = samplers
        state = ForwardState(shape: shape, rows: samplers.count)
    }

    /// Reads a text into every row. Before anything was read, an empty text stands for a line end, or the vocabulary's
    /// first character where it lacks that: something has to be read to predict what follows.
    ///
    /// - Throws: ``CorpusError`` naming a character that the model lacks; nothing is read then.
    package func read(_ text: String, name: String = "the prime") throws(CorpusError) {
        var tokens = try vocabulary.encode(text, name: name)
        if tokens.isEmpty, !hasRead { tokens = [vocabulary.index(of: "\n") ?? 0] }
        for token in tokens { engine.step(tokens: Array(repeating: token, count: samplers.count), state) }
        hasRead = hasRead || !tokens.isEmpty
    }

    /// Chooses and reads the next character of every row. To be called after ``read(_:name:)``.
    ///
    /// - Throws: ``SamplerError`` for a model whose logits are not finite.
    package func next() throws(SamplerError) -> [Unicode.Scalar] {
        precondition(hasRead)
        var tokens: [UInt32] = []
        for row in samplers.indices {
            tokens.append(UInt32(try samplers[row].next(logits: state.logits(row: row))))
        }
        engine.step(tokens: tokens, state)
        return tokens.map { vocabulary[$0] }
    }
}

extension Vocabulary {
    /// The text with each character that the vocabulary lacks replaced by a space, or by a line end or the first
    /// character where there is none; and how many those were.
    package func replacingUnknown(in text: String) -> (text: String, replaced: Int, by: Unicode.Scalar) {
        let substitute = [" ", "\n"].first { index(of: $0) != nil } ?? scalars[0]
        var result = String.UnicodeScalarView()
        var replaced = 0
        for scalar in text.unicodeScalars {
            let isKnown = index(of: scalar) != nil
            result.append(isKnown ? scalar : substitute)
            if !isKnown { replaced += 1 }
        }
        return (String(result), replaced, substitute)
    }
}
