import Training

/// The words of the command line, as the parser is to see them.
enum Arguments {
    /// Takes `--prime=`, as a shell makes it of `--prime=""`, apart: the parser wants an empty value in a word of its own.
    /// Joins `--steps -5`: the parser takes a word that begins with a dash for a flag.
    static func prepared(_ arguments: [String]) -> [String] {
        var result: [String] = []
        for argument in arguments {
            if argument.hasPrefix("--"), argument.firstIndex(of: "=") == argument.indices.last {
                result += [String(argument.dropLast()), ""]
            } else if isNegative(argument), let flag = result.last, flag.hasPrefix("--"), flag.count > 2,
                !flag.contains("=")
            {
                result[result.count - 1] = "\(flag)=\(argument)"
            } else {
                result.append(argument)
            }
        }
        return result
    }

    /// A path or a name that is empty, as of a variable that a script never set, would mean the working folder or nothing at
    /// all.
    ///
    /// - Parameter arguments: prepared.
    /// - Throws: `UsageError` where a word is empty that says nothing so.
    static func checkNoneIsEmpty(_ arguments: [String]) throws(UsageError) {
        for (before, word) in zip(arguments, arguments.dropFirst()) where word.isEmpty && !texts.contains(before) {
            throw UsageError("the word behind \(before) is empty: give what is to stand there, or leave it out")
        }
    }

    /// Flags whose values may be empty.
    private static let texts: Set = ["--prime", "--prefix", "--inject"]

    /// What to say where the parser only calls a negative number invalid; nil for its other messages, such as those that
    /// list what can be given.
    ///
    /// - Parameter message: the parser's.
    static func negativeNumber(in arguments: [String], refusedBy message: String) -> String? {
        for argument in arguments {
            let sides = argument.split(separator: "=", maxSplits: 1)
            guard sides.count == 2, isNegative(String(sides[1])),
                message.hasPrefix("The value '\(sides[1])' is invalid for '\(sides[0]) "), message.hasSuffix(">'")
            else { continue }
            return "\(sides[0]) must not be negative, as \(sides[1]) is"
        }
        return nil
    }

    private static func isNegative(_ text: String) -> Bool {
        text.hasPrefix("-") && (text.dropFirst().first?.isNumber == true || Double(text) != nil)
    }
}
