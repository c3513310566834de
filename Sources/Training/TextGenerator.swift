package import Corpus
package import LanguageModel

/// Texts from a model, computed side by side, one character of each at a time. A row's text depends on its sampler alone,
/// not on the rows beside it.
package struct TextGenerator {
    private let engine: ForwardEngine
    private let shape: ModelShape
    private let vocabulary: Vocabulary
    private var samplers: [Sampler]
    private var carry: [Float]
    private var logits: [Float] = []

    /// - Parameter samplers: one a row.
    package init(engine: ForwardEngine, shape: ModelShape, vocabulary: Vocabulary, samplers: [Sampler]) {
        precondition(vocabulary.count == shape.vocabulary)
        self.engine = engine
        self.shape = shape
        self.vocabulary = vocabulary
        self.samplers = samplers
        carry = Array(repeating: 0, count: samplers.count * shape.carryCount)
    }

    /// Reads a text into every row. Before anything was read, an empty text stands for a line end, or the vocabulary's
    /// first character where it lacks that: something has to be read to predict what follows.
    ///
    /// - Throws: ``CorpusError`` naming a character that the model lacks; nothing is read then.
    package mutating func read(_ text: String, name: String = "the prime") throws(CorpusError) {
        var tokens = try vocabulary.encode(text, name: name)
        if tokens.isEmpty, logits.isEmpty { tokens = [vocabulary.index(of: "\n") ?? 0] }
        for token in tokens { step(Array(repeating: token, count: samplers.count)) }
    }

    /// Chooses and reads the next character of every row. To be called after ``read(_:name:)``.
    ///
    /// - Throws: ``SamplerError`` for a model whose logits are not finite.
    package mutating func next() throws(SamplerError) -> [Unicode.Scalar] {
        var tokens: [UInt32] = []
        for row in samplers.indices {
            let own = logits[row * shape.vocabulary..<(row + 1) * shape.vocabulary]
            tokens.append(UInt32(try samplers[row].next(logits: own)))
        }
        step(tokens)
        return tokens.map { vocabulary[$0] }
    }

    private mutating func step(_ tokens: [UInt32]) { logits = engine.logits(tokens: tokens, carry: &carry) }
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
