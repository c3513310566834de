/// What is wrong with a text, a vocabulary or the way a text is to be cut. Each description is one line: what, where,
/// and what to do.
package enum CorpusError: Error, Equatable, Sendable {
    case missing(path: String)
    case folder(path: String)
    /// A pipe, a socket, a device: its size is not known before it is read.
    case notRegular(path: String)
    case unreadable(path: String, reason: String)
    case empty(name: String)
    case tooLarge(name: String, bytes: Int, limit: Int)
    case outOfMemory(name: String, bytes: Int)
    case changedWhileRead(name: String)
    /// `byteOffset` is that of the first byte of the malformed sequence; `line` counts from 1.
    case invalidUTF8(name: String, byte: UInt8, byteOffset: Int, line: Int, fault: StrictUTF8.Fault)
    case unknownCharacter(UnknownCharacter)
    /// Only characters that the vocabulary lacks.
    case noKnownCharacter(name: String)
    /// `part` is what was to be cut into windows, such as `the training part of anna.txt`.
    case tooShort(part: String, present: Int, batch: Int, window: Int)
    case badBatch(batch: Int, window: Int)
    case badValidation(fraction: Double)
    /// Too few windows to hold out columns of them.
    case tooFewWindows(part: String, windows: Int, fraction: Double)
    case badVocabulary(name: String, reason: String)
}

extension CorpusError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .missing(let path):
            return "\(path) does not exist: check the path and the working folder"
        case .folder(let path):
            return "\(path) is a folder: name one text file"
        case .notRegular(let path):
            return "\(path) is not a regular file: write the text to a file and name that"
        case .unreadable(let path, let reason):
            return "\(path) cannot be read (\(reason)): check the path and its permissions"
        case .empty(let name):
            return "\(name) is empty: name a file with text in it"
        case .tooLarge(let name, let bytes, let limit):
            return "\(name) has \(bytes) bytes, more than the \(limit) that can be taken: use a part of it"
        case .outOfMemory(let name, let bytes):
            return "no memory for the \(bytes) bytes of encoded tokens of \(name): use a part of it"
        case .changedWhileRead(let name):
            return "\(name) was changed while it was read: start again when nothing writes to it"
        case .invalidUTF8(let name, let byte, let byteOffset, let line, let fault):
            return "\(name) is not UTF-8: byte 0x\(hexadecimal(UInt32(byte), digits: 2)) at byte offset \(byteOffset) "
                + "(line \(line)) \(fault.explanation): convert the text, for example with iconv -t UTF-8"
        case .unknownCharacter(let unknown):
            return unknown.description
        case .noKnownCharacter(let name):
            return "\(name) has no character of the vocabulary: use a text like the one the model was trained on"
        case .tooShort(let part, let present, let batch, let window):
            let (needed, overflow) = batch.multipliedReportingOverflow(by: window)
            return "\(part) has \(present) characters, but one window of --batch \(batch) rows of --window \(window) "
                + "needs \(overflow ? "more than any text has" : "\(needed)"): lower --batch or --window, "
                + "or take a longer text"
        case .badBatch(let batch, let window):
            return "--batch \(batch) and --window \(window) must both be 1 or more"
        case .badValidation(let fraction):
            return "--validation must be at least 0 and below 1, not \(fraction)"
        case .tooFewWindows(let part, let windows, let fraction):
            return
                "\(part) has \(windows) windows, too few to hold out columns of --validation \(fraction): lower --batch "
                + "or --window, or hold out the tail"
        case .badVocabulary(let name, let reason):
            return "\(name) is not a vocabulary (\(reason)): name the vocabulary.json of a run"
        }
    }
}
