import Foundation
package import SeededNumbers

/// A weighted context-free grammar: what the demo corpus is drawn from, and the place where its entropy is computed.
///
/// Sentences are drawn from the start rule, each independently of the others. Where every text has one derivation, the
/// text and its choices carry the same information, and the entropy rate of the endless text is exactly
/// `H(sentence) / E[characters of a sentence]`: no predictor can do better in the long run, and the ideal one does this
/// well.
package struct DemoGrammar: Sendable {
    /// A piece of an alternative.
    package enum Part: Sendable, Equatable {
        /// ASCII.
        case text([UInt8])
        /// An index into ``DemoGrammar/rules``.
        case rule(Int)
    }

    /// One way to write a rule out, drawn with probability `weight` over the rule's `totalWeight`.
    package struct Alternative: Sendable {
        package let weight: Int
        package let parts: [Part]
    }

    /// A symbol of the grammar and the ways to write it out.
    package struct Rule: Sendable {
        package let name: String
        package let alternatives: [Alternative]
        package let totalWeight: Int
    }

    package let rules: [Rule]
    package let start: Int

    /// - Parameter definition: rules in any order: a name and its alternatives, each a weight and ASCII text in which
    ///   `{name}` stands for what that rule gives. No rule may begin with itself, directly or by way of others, and on
    ///   average a sentence must end.
    package init(start: String, _ definition: [(name: String, alternatives: [(weight: Int, text: String)])]) {
        let names = definition.map(\.name)
        precondition(Set(names).count == names.count, "a rule is defined twice")
        func index(_ name: Substring) -> Int {
            guard let index = names.firstIndex(of: String(name)) else { preconditionFailure("no rule \(name)") }
            return index
        }
        func parts(_ text: String) -> [Part] {
            var parts: [Part] = []
            var rest = Substring(text)
            while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
                if rest.startIndex < open { parts.append(.text(Array(rest[..<open].utf8))) }
                parts.append(.rule(index(rest[rest.index(after: open)..<close])))
                rest = rest[rest.index(after: close)...]
            }
            return rest.isEmpty ? parts : parts + [.text(Array(rest.utf8))]
        }
        rules = definition.map { name, alternatives in
            precondition(!alternatives.isEmpty && alternatives.allSatisfy { $0.weight > 0 })
            return Rule(
                name: name,
                alternatives: alternatives.map { Alternative(weight: $0.weight, parts: parts($0.text)) },
                totalWeight: alternatives.reduce(0) { $0 + $1.weight })
        }
        self.start = index(Substring(start))
    }

    /// Appends one sentence. Only whole numbers decide, so it is the same on every machine.
    package func appendSentence(to text: inout [UInt8], using random: inout SplitMix64) {
        append(rule: start, to: &text, using: &random)
    }

    private func append(rule: Int, to text: inout [UInt8], using random: inout SplitMix64) {
        var ticket = random.next(below: rules[rule].totalWeight)
        for alternative in rules[rule].alternatives {
            ticket -= alternative.weight
            guard ticket < 0 else { continue }
            for part in alternative.parts {
                switch part {
                case .text(let bytes): text += bytes
                case .rule(let index): append(rule: index, to: &text, using: &random)
                }
            }
            return
        }
    }

    /// The choices of a sentence in nats, and its characters, both on average: `entropy / characters` is the entropy rate
    /// where the grammar is unambiguous.
    ///
    /// For a rule with alternatives of probability `p`: `H = sum p (-ln p + sum H(parts))` and likewise for the
    /// characters. The rules refer to one another, so the linear equations are iterated from zero, which climbs to their
    /// least solution.
    package var sentenceMeans: (entropy: Double, characters: Double) {
        var means = [(entropy: Double, characters: Double)](repeating: (0, 0), count: rules.count)
        for _ in 0..<10_000 {
            let next = rules.map { rule in
                var mean = (entropy: 0.0, characters: 0.0)
                for alternative in rule.alternatives {
                    let probability = Double(alternative.weight) / Double(rule.totalWeight)
                    mean.entropy -= probability * log(probability)
                    for part in alternative.parts {
                        switch part {
                        case .text(let bytes): mean.characters += probability * Double(bytes.count)
                        case .rule(let index):
                            mean.entropy += probability * means[index].entropy
                            mean.characters += probability * means[index].characters
                        }
                    }
                }
                return mean
            }
            let isSettled = zip(means, next).allSatisfy { $0 == $1 }
            means = next
            if isSettled { break }
        }
        return means[start]
    }
}
