package import Corpus
package import LanguageModel

/// Text from a model, one character at a time.
package enum TextGenerator {
    /// - Parameters:
    ///   - prime: read first, and part of the answer; where it is empty the model starts from a line end if it knows
    ///     one, else from its first character, and that one is not part of the answer.
    ///   - emit: called with each piece as it is generated; false stops.
    /// - Throws: ``CorpusError`` for a character of the prime that the model lacks; ``SamplerError`` for a model whose
    ///   logits are not finite.
    package static func generate(
        engine: ForwardEngine, shape: ModelShape, vocabulary: Vocabulary, prime: String, length: Int,
        sampler: Sampler, emit: (String) -> Bool
    ) throws {
        var sampler = sampler
        var carry = [Float](repeating: 0, count: shape.carryCount)
        var tokens = try prime.isEmpty ? [] : vocabulary.encode(prime, name: "the prime")
        if tokens.isEmpty {
            tokens = [vocabulary.index(of: "\n") ?? 0]
        } else if !emit(prime) {
            return
        }
        var logits: [Float] = []
        for token in tokens { logits = engine.logits(tokens: [token], carry: &carry) }
        for _ in 0..<length {
            let token = UInt32(try sampler.next(logits: logits))
            guard emit(vocabulary.decode([token])) else { return }
            logits = engine.logits(tokens: [token], carry: &carry)
        }
    }

    package static func text(
        engine: ForwardEngine, shape: ModelShape, vocabulary: Vocabulary, prime: String, length: Int, sampler: Sampler
    ) throws -> String {
        var text = ""
        try generate(
            engine: engine, shape: shape, vocabulary: vocabulary, prime: prime, length: length, sampler: sampler
        ) {
            text += $0
            return true
        }
        return text
    }
}
