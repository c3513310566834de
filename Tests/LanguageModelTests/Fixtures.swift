import Foundation

/// The parity fixtures: beside this file, or in the folder that LOCKSTEP_FIXTURES names.
enum Fixtures {
    static let isDefault = ProcessInfo.processInfo.environment["LOCKSTEP_FIXTURES"] == nil

    static let folder: URL =
        if let path = ProcessInfo.processInfo.environment["LOCKSTEP_FIXTURES"] {
            URL(fileURLWithPath: path, isDirectory: true)
        } else {
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
        }

    /// The kinds of the files that the suites read, as the beginnings of their paths.
    static let kinds = [
        "notebook", "lstm_f64", "lstm_f32", "optim/", "clip", "cross_entropy", "schedules", "sampling", "init/index",
        "train_run",
    ]

    /// The JSON files whose paths begin so, relative to the folder.
    static func names(_ beginning: String) -> [String] {
        let directory = beginning.contains("/") ? beginning.prefix(while: { $0 != "/" }) + "/" : ""
        let path = folder.appendingPathComponent(String(directory)).path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.map { directory + $0 }.filter { $0.hasPrefix(beginning) && $0.hasSuffix(".json") }.sorted()
    }

    static func url(_ name: String) -> URL { folder.appendingPathComponent(name) }

    static func json(_ name: String) throws -> JSON {
        JSON(try JSONValue(parsing: Array(Data(contentsOf: url(name)))), path: name)
    }
}
