extension String {
    /// Control characters, but for line ends and tabs, as U+FFFD: names and samples come from others, and a terminal would
    /// obey them.
    package var withVisibleControls: String { withVisibleControls(but: ["\n", "\t"]) }

    package func withVisibleControls(but kept: Set<Unicode.Scalar>) -> String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control && !kept.contains(scalar)
            result.append(isControl ? "\u{FFFD}" : scalar)
        }
        return String(result)
    }

    /// Control characters as their escapes, such as `\n`: a path in an error may have any of them, and the error is one
    /// line.
    package var onOneLine: String {
        unicodeScalars.map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : String($0) }
            .joined()
    }
}
