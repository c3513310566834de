/// How a text is cut to be scored. The segments are a function of the text's length alone, never of the workers or
/// threads that score them, and so is the order in which their losses are summed.
///
/// Every character but the first is scored once, given what stands before it: with a carried state each segment is read
/// from `context` characters before its first one, so that a long text can be read in many places at a time.
package struct ScoringPlan: Sendable, Equatable {
    /// Characters that the model knows, in the order of the text.
    package let characters: Int
    /// Characters of a segment; the last one may have fewer.
    package let length: Int
    /// Characters that are read before a segment without being scored.
    package let context: Int

    /// The state is carried on: as good as one pass over the whole text, which a text of at most 4,097 characters gets.
    package static func stateful(characters: Int) -> ScoringPlan {
        ScoringPlan(characters: characters, length: 4096, context: 512)
    }

    /// The state is zero at every window of `window` characters.
    package static func stateless(characters: Int, window: Int) -> ScoringPlan {
        ScoringPlan(characters: characters, length: window, context: 0)
    }

    /// One pass from the first character to the last: nothing of what stands before a character is left out.
    package static func uncut(characters: Int) -> ScoringPlan {
        ScoringPlan(characters: characters, length: max(1, characters - 1), context: 0)
    }

    /// In characters: all but the first.
    package var scored: Int { max(0, characters - 1) }
    package var segments: Int { (scored + length - 1) / length }

    /// The places in the text whose characters a segment scores.
    package func targets(_ segment: Int) -> Range<Int> {
        1 + segment * length..<min(characters, 1 + (segment + 1) * length)
    }

    /// The places in the text that are read for it, each to predict the next.
    package func inputs(_ segment: Int) -> Range<Int> {
        let targets = targets(segment)
        return max(0, targets.lowerBound - 1 - context)..<targets.upperBound - 1
    }
}
