import SeededNumbers

/// The built-in text: small English sentences from a grammar, so that a run needs no file and its loss has a known floor.
///
/// Verbs agree with subjects that may stand a relative clause away, and numbers with what they count, so there is
/// something to learn at every distance. The text is a pure function of size and seed.
package struct DemoCorpus: Sendable {
    package static let name = "demo"
    package static let defaultCharacters = 1_000_000
    /// How long the text can be.
    package static let characterRange = 1...1_000_000_000

    /// The entropy rate in nats a character: the loss of a perfect model of the grammar, below which none can stay.
    ///
    /// Computed from the grammar, not measured: see ``DemoGrammar/sentenceMeans``.
    package static let entropyPerCharacter: Double = {
        let means = grammar.sentenceMeans
        return means.entropy / means.characters
    }()

    package let characters: Int
    package let seed: UInt64

    /// - Parameter characters: how long the text is, in ``characterRange``; the last sentence is cut there.
    package init(characters: Int = Self.defaultCharacters, seed: UInt64 = 0) {
        precondition(Self.characterRange.contains(characters))
        self.characters = characters
        self.seed = seed
    }

    /// ASCII, so a byte is a character.
    package var text: [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(characters + 1024)
        var random = SplitMix64(seed: seed)
        while text.count < characters { Self.grammar.appendSentence(to: &text, using: &random) }
        text.removeLast(text.count - characters)
        return text
    }

    /// - Throws: ``CorpusError``.
    package func encoded(vocabulary: Vocabulary? = nil) throws(CorpusError) -> EncodedCorpus {
        try EncodedCorpus(source: TextSource(bytes: text, name: "the demo corpus"), vocabulary: vocabulary)
    }

    /// Unambiguous, as the entropy needs it: a noun has at most one relative clause, a place stands only at the end of a
    /// clause that is no relative one, and no word is two kinds of word. `1` marks the singular, `2` the plural.
    package static let grammar = DemoGrammar(
        start: "sentence",
        [
            (
                "sentence",
                [
                    (12, "{Subject1} {predicate1}{place}{stop}"), (10, "{Subject2} {predicate2}{place}{stop}"),
                    (2, "If {clause}, {clause}{stop}"), (2, "When {clause}, {clause}{stop}"),
                    (4, "{name} says that {clause}{stop}"), (2, "At {number}, {clause}{stop}"),
                    (2, "Does {subject1} {predicate2}{place}{query}"), (2, "Do {subject2} {predicate2}{place}{query}"),
                    (2, "{name} is {number}{stop}"),
                ]
            ),
            ("clause", [(1, "{subject1} {predicate1}{place}"), (1, "{subject2} {predicate2}{place}")]),
            ("stop", [(3, ". "), (1, ".\n")]),
            ("query", [(3, "? "), (1, "?\n")]),

            (
                "Subject1",
                [
                    (3, "The {noun1}{relative1}"), (2, "A {noun1}{relative1}"), (1, "My {noun1}"), (1, "Each {noun1}"),
                    (4, "{name}"),
                ]
            ),
            (
                "subject1",
                [
                    (3, "the {noun1}{relative1}"), (2, "a {noun1}{relative1}"), (1, "my {noun1}"), (1, "each {noun1}"),
                    (4, "{name}"),
                ]
            ),
            ("Subject2", [(3, "The {noun2}{relative2}"), (1, "Some {noun2}{relative2}"), (1, "My {noun2}")]),
            ("subject2", [(3, "the {noun2}{relative2}"), (2, "{number} {noun2}{relative2}"), (1, "my {noun2}")]),
            ("object", [(3, "{subject1}"), (2, "{subject2}")]),
            ("noun1", [(2, "{noun}"), (1, "{adjective} {noun}")]),
            ("noun2", [(2, "{noun}s"), (1, "{adjective} {noun}s")]),
            (
                "relative1",
                [
                    (10, ""), (1, " that {still}s"), (1, " that {act}s {object}"), (1, " that {name} {act}s"),
                    (1, " that the {noun2} {act}"),
                ]
            ),
            (
                "relative2",
                [
                    (10, ""), (1, " that {still}"), (1, " that {act} {object}"), (1, " that {name} {act}s"),
                    (1, " that the {noun2} {act}"),
                ]
            ),
            ("predicate1", [(2, "{manner}{still}s"), (3, "{manner}{act}s {object}")]),
            ("predicate2", [(2, "{manner}{still}"), (3, "{manner}{act} {object}")]),
            ("manner", [(6, ""), (1, "often "), (1, "never "), (1, "always ")]),
            ("place", [(3, ""), (2, " {position} the {site}")]),

            (
                "name",
                [(1, "Anna"), (1, "Boris"), (1, "Eva"), (1, "Ivan"), (1, "Leo"), (1, "Mia"), (1, "Nina"), (1, "Zoe")]
            ),
            (
                "noun",
                [
                    (2, "cat"), (2, "dog"), (1, "hen"), (1, "cow"), (2, "boy"), (2, "girl"), (1, "king"), (1, "nurse"),
                    (1, "poet"), (1, "baker"), (1, "farmer"), (1, "horse"), (1, "sailor"), (1, "friend"),
                ]
            ),
            (
                "adjective",
                [
                    (1, "big"), (1, "sad"), (1, "shy"), (1, "tall"), (1, "wise"), (1, "young"), (1, "little"),
                    (1, "quiet"),
                ]
            ),
            (
                "still",
                [
                    (2, "sing"), (2, "wait"), (2, "run"), (1, "sleep"), (1, "laugh"), (1, "dream"), (1, "swim"),
                    (1, "fall"),
                ]
            ),
            (
                "act",
                [
                    (2, "see"), (1, "hear"), (2, "like"), (1, "help"), (1, "know"), (1, "call"), (1, "find"),
                    (1, "feed"), (1, "trust"), (1, "follow"), (1, "remember"),
                ]
            ),
            (
                "number",
                [
                    (1, "two"), (1, "three"), (1, "four"), (1, "five"), (1, "six"), (1, "seven"), (1, "eight"),
                    (1, "nine"), (1, "ten"), (1, "eleven"), (1, "twelve"),
                ]
            ),
            ("position", [(2, "in"), (2, "near"), (1, "behind"), (1, "by")]),
            (
                "site",
                [
                    (2, "garden"), (2, "river"), (1, "mill"), (1, "barn"), (1, "lake"), (1, "road"), (1, "town"),
                    (1, "wood"), (1, "house"),
                ]
            ),
        ])
}
