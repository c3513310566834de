import Foundation

/// A file of what a run records could not be read or written.
package struct RecordingError: Error, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        case metrics = "the metrics"
        case events = "the TensorBoard file"
    }

    package let kind: Kind
    package let path: String
    package let reason: String

    init(_ kind: Kind, _ url: URL, code: Int32) {
        self.kind = kind
        path = url.path
        reason = OutputFile.reason(code)
    }

    package var description: String { "\(path): cannot write \(kind.rawValue): \(reason)" }
}
