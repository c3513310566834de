package import ZeroMQ

/// The public keys that may join, each with the name that its line gives: `KEY NAME`, lines as in a ``KeyFile``.
package struct AllowedKeys: Sendable, Equatable {
    /// Empty for a key whose line gives no name.
    package private(set) var names: [CurveKey: String] = [:]

    package init() {}

    /// - Throws: ``ConfigurationError`` that names the line.
    package init(reading path: String) throws {
        let text = try KeyFile.read(path, maximumBytes: KeyFile.maximumListBytes)
        for (number, words) in KeyFile.lines(text) {
            guard let key = try? CurveKey(z85: String(words[0])), words.count <= 2 else {
                throw ConfigurationError(
                    "\(path), line \(number): write a public key of 40 characters, and behind it a name")
            }
            names[key] = words.count > 1 ? String(words[1]) : ""
        }
    }
}
