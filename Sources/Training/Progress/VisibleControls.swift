extension String {
    /// Control characters, but for line ends and tabs, as U+FFFD: names and samples come from others, and a terminal would
    /// obey them.
    package var withVisibleControls: String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
            result.append(isControl ? "\u{FFFD}" : scalar)
        }
        return String(result)
    }
}
