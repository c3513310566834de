import Kernels

/// The loss of a model on a text.
package struct TextScore: Encodable, Equatable, Sendable {
    /// The mean over the scored characters, in nats.
    package let loss: Double
    package let bitsPerCharacter: Double
    /// `exp(loss)`.
    package let perplexity: Double
    /// Scored characters: all that the model knows, but the first, which nothing stands before.
    package let characters: Int
    /// Characters that the model's vocabulary lacks: they are neither read nor scored.
    package let unknownCharacters: Int

    /// - Parameter segmentLosses: the summed losses of all segments in the order of the text.
    package init(segmentLosses: [Double], characters: Int, unknownCharacters: Int) {
        loss = segmentLosses.reduce(0, +) / Double(characters)
        bitsPerCharacter = bits(ofNats: loss)
        perplexity = DeterministicMath.exp(loss)
        self.characters = characters
        self.unknownCharacters = unknownCharacters
    }
}
