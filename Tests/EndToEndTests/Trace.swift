import Foundation
import Testing

/// The bits that a run went through.
struct Trace: Equatable, Sendable {
    struct Step: Equatable, Sendable {
        var number: Int
        /// Of the parameters after the step.
        var digest: String
        var loss: Double
    }

    /// In the order of the lines of `metrics.jsonl`.
    var steps: [Step]
    /// Of parameters, optimizer and recurrent state at the end.
    var state: String

    init(run: String, in folder: TemporaryFolder) async throws {
        steps = try Self.steps(run: run, in: folder)
        let result = try await Execution.run(["inspect", "--json", run], in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let report = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        state = try #require(report?["state_digest"] as? String)
    }

    /// What the run has recorded up to now; the last line may be in the writing.
    static func steps(run: String, in folder: TemporaryFolder) throws -> [Step] {
        guard let data = FileManager.default.contents(atPath: folder.file("\(run)/metrics.jsonl").path),
            let end = data.lastIndex(of: 10)
        else { return [] }
        return try data[..<end].split(separator: 10).compactMap { line in
            let values = try #require(JSONSerialization.jsonObject(with: line) as? [String: Any])
            guard let digest = values["digest"] as? String else { return nil }
            return Step(
                number: try #require(values["step"] as? Int), digest: digest,
                loss: try #require(values["loss"] as? Double))
        }
    }

    /// The last step on record and its workers, without reading all of a long file.
    static func last(run: String, in folder: TemporaryFolder) throws -> (step: Int, workers: Int) {
        guard let file = try? FileHandle(forReadingFrom: folder.file("\(run)/metrics.jsonl")) else { return (0, 0) }
        defer { try? file.close() }
        let size = try file.seekToEnd()
        try file.seek(toOffset: size - min(size, 4096))
        guard let data = try file.readToEnd(), let end = data.lastIndex(of: 10) else { return (0, 0) }
        for line in data[..<end].split(separator: 10).reversed() {
            let values = try? JSONSerialization.jsonObject(with: line) as? [String: Any]
            if let values, values["digest"] is String {
                return (values["step"] as? Int ?? 0, values["workers"] as? Int ?? 0)
            }
        }
        return (0, 0)
    }
}
