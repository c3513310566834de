import Checkpoints
package import Corpus
import Foundation

/// Writes a text with the surprisal of each of its characters, as tab-separated values: `offset` (in characters from 0),
/// `character` (`\n`, `\r`, `\t`, `\\` and other controls escaped) and `nats`, which stays empty where a character was
/// not scored: the first, and those that the vocabulary lacks.
package final class SurpriseWriter {
    private static let limit = 1 << 20

    private let path: String
    private let descriptor: Int32
    private let source: TextSource
    private let vocabulary: Vocabulary
    private var offset = 0
    private var characterOffset = 0
    private var isAtStart = true
    private var buffer: [UInt8] = []

    /// - Throws: ``ConfigurationError`` where the file cannot be made, or is the text itself.
    package init(path: String, source: TextSource, vocabulary: Vocabulary) throws(ConfigurationError) {
        let file = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        if let text = source.path, URL(fileURLWithPath: text).resolvingSymlinksInPath().path == file {
            throw ConfigurationError("--surprise \(path) would take the place of the text: name another file")
        }
        descriptor = OutputFile.open(path, O_TRUNC)
        guard descriptor >= 0 else {
            throw ConfigurationError("\(path): cannot be written: \(OutputFile.reason(errno))")
        }
        self.path = path
        self.source = source
        self.vocabulary = vocabulary
        buffer = Array("offset\tcharacter\tnats\n".utf8)
    }

    deinit { close(descriptor) }

    /// Goes on by as many scored characters as there are losses.
    package func append(_ losses: [Double]) throws {
        var index = 0
        while index < losses.count {
            let scalar = try next()
            if vocabulary.index(of: scalar) == nil {
                write(scalar, nil)
            } else if isAtStart {
                isAtStart = false
                write(scalar, nil)
            } else {
                write(scalar, losses[index])
                index += 1
            }
            if buffer.count > Self.limit { try flush() }
        }
    }

    /// Writes what is left of the text, which is unknown.
    package func finish() throws {
        while offset < source.byteCount { write(try next(), nil) }
        try flush()
    }

    private func next() throws -> Unicode.Scalar {
        let (scalar, length) = try source.scalar(at: offset)
        offset += length
        return scalar
    }

    private func write(_ scalar: Unicode.Scalar, _ nats: Double?) {
        let text: String =
            switch scalar {
            case "\n": "\\n"
            case "\r": "\\r"
            case "\t": "\\t"
            case "\\": "\\\\"
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}":
                "\\u{\(String(scalar.value, radix: 16))}"
            default: String(Character(scalar))
            }
        buffer += Array("\(characterOffset)\t\(text)\t\(nats.map { "\($0)" } ?? "")\n".utf8)
        characterOffset += 1
    }

    private func flush() throws(ConfigurationError) {
        let code = writeWhole(buffer, to: descriptor)
        guard code == 0 else {
            throw ConfigurationError("\(path): cannot be written: \(String(cString: strerror(code)))")
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
