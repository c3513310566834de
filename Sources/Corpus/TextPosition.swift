/// Where a character stands in a text, counted as one walks over it.
struct TextPosition {
    var characterOffset = 0
    var byteOffset = 0
    var line = 1
    var column = 1

    mutating func advance(over scalar: Unicode.Scalar) {
        characterOffset += 1
        byteOffset += Unicode.UTF8.width(scalar)
        if scalar == "\n" {
            line += 1
            column = 1
        } else {
            column += 1
        }
    }

    func unknown(_ scalar: Unicode.Scalar, name: String) -> UnknownCharacter {
        UnknownCharacter(
            name: name, scalar: scalar, characterOffset: characterOffset, byteOffset: byteOffset, line: line,
            column: column)
    }
}
