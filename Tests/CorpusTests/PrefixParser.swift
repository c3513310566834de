import Corpus
import Foundation

/// Reads a text character by character under a grammar, keeping every derivation that is still possible: an ideal
/// predictor, and a judge of whether the grammar is ambiguous.
struct PrefixParser {
    private struct Derivation {
        /// What is still to be read, the next part last.
        var rest: [DemoGrammar.Part]
        var probability: Double
    }

    let grammar: DemoGrammar
    /// Before the next character: each begins with text.
    private var derivations: [Derivation]
    private let openings: [Derivation]

    private(set) var sentences = 0
    /// Sentences that more than one derivation gives, or that begin another sentence.
    private(set) var ambiguousSentences = 0
    /// `-ln` of the probability of all whole sentences so far: of each character given all before it, summed.
    private(set) var surprise = 0.0

    init(_ grammar: DemoGrammar) {
        self.grammar = grammar
        openings = Self.expanded(Derivation(rest: [.rule(grammar.start)], probability: 1), grammar)
        derivations = openings
    }

    /// Returns whether the grammar allows the character here.
    mutating func read(_ byte: UInt8) -> Bool {
        var next: [Derivation] = []
        for derivation in derivations {
            guard case .text(let bytes) = derivation.rest.last, bytes[0] == byte else { continue }
            var advanced = derivation
            advanced.rest.removeLast()
            if bytes.count > 1 {
                advanced.rest.append(.text(Array(bytes.dropFirst())))
                next.append(advanced)
            } else {
                next += Self.expanded(advanced, grammar)
            }
        }
        guard !next.isEmpty else { return false }
        let before = derivations.reduce(0) { $0 + $1.probability }
        let after = next.reduce(0) { $0 + $1.probability }
        surprise -= log(after / before)
        derivations = next
        if next.contains(where: { $0.rest.isEmpty }) {
            sentences += 1
            if next.count > 1 { ambiguousSentences += 1 }
            derivations = openings
        }
        return true
    }

    /// Takes choices until text comes next or nothing is left.
    private static func expanded(_ derivation: Derivation, _ grammar: DemoGrammar) -> [Derivation] {
        guard case .rule(let index) = derivation.rest.last else { return [derivation] }
        let rule = grammar.rules[index]
        return rule.alternatives.flatMap { alternative in
            let probability = derivation.probability * Double(alternative.weight) / Double(rule.totalWeight)
            let rest = derivation.rest.dropLast() + alternative.parts.reversed()
            return expanded(Derivation(rest: Array(rest), probability: probability), grammar)
        }
    }
}
