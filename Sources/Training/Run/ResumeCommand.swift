/// What a user types to go on with a run, with the flags that the run folder does not hold.
package struct ResumeCommand: Sendable, CustomStringConvertible {
    private var words: [String]

    /// - Parameters:
    ///   - name: of the subcommand: `train` or `coordinator`.
    ///   - corpus: nil for the text that the run folder names.
    ///   - run: the run folder.
    ///   - flags: their words, values in words of their own.
    package init(_ name: String, corpus: String? = nil, run: String, flags: [String] = []) {
        words = ["lockstep", name] + (corpus.map { [$0] } ?? []) + ["--run", run, "--resume"] + flags
    }

    /// The same with more flags.
    func adding(_ flags: String...) -> ResumeCommand {
        var result = self
        result.words += flags
        return result
    }

    /// One line, for a shell.
    package var description: String { words.map(Self.quoted).joined(separator: " ") }

    /// A word as a shell takes it.
    static func quoted(_ word: String) -> String {
        let isPlain = word.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "%+,-./:=@_".utf8.contains(byte)
        }
        return isPlain && !word.isEmpty ? word : "'" + word.replacing("'", with: #"'\''"#) + "'"
    }
}
