import Foundation

/// Nothing in these tests waits for ever: what takes longer than this has hung.
struct Deadline: Error, CustomStringConvertible {
    static let seconds = 60.0

    let description: String

    /// Waits until `condition` is true.
    ///
    /// - Throws: itself, when that takes longer than `seconds`.
    static func wait(
        for what: @autoclosure () -> String, seconds: Double = Deadline.seconds, until condition: () throws -> Bool
    ) async throws {
        let end = Date(timeIntervalSinceNow: seconds)
        while try !condition() {
            guard Date() < end else { throw Deadline(description: "gave up waiting for \(what()) after \(seconds) s") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
