/// The first character of a text that the vocabulary lacks.
package struct UnknownCharacter: Equatable, Sendable, CustomStringConvertible {
    /// The text it stands in: a path, or what the text is for.
    package var name: String
    package var scalar: Unicode.Scalar
    /// Counted in characters and in bytes from 0.
    package var characterOffset: Int
    package var byteOffset: Int
    /// Counted from 1; only U+000A ends a line, and a column is a character.
    package var line: Int
    package var column: Int

    package init(
        name: String, scalar: Unicode.Scalar, characterOffset: Int, byteOffset: Int, line: Int, column: Int
    ) {
        self.name = name
        self.scalar = scalar
        self.characterOffset = characterOffset
        self.byteOffset = byteOffset
        self.line = line
        self.column = column
    }

    package var description: String {
        "\(name) has a character that the vocabulary lacks, \(printable(scalar)), at line \(line), column \(column) "
            + "(character offset \(characterOffset), byte offset \(byteOffset)): take it out of the text, "
            + "or train a model on a text that has it"
    }
}

/// A character as a reader can see it, with its code point: `'é' (U+00E9)`, `'\n' (U+000A)`, `U+200B`.
package func printable(_ scalar: Unicode.Scalar) -> String {
    let code = "U+" + hexadecimal(scalar.value, digits: 4)
    switch scalar {
    case "\n": return "'\\n' (\(code))"
    case "\r": return "'\\r' (\(code))"
    case "\t": return "'\\t' (\(code))"
    default: break
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
        return code
    case .nonspacingMark, .spacingMark, .enclosingMark:
        return "'\u{25CC}\(scalar)' (\(code))"
    default:
        return "'\(scalar)' (\(code))"
    }
}

func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
