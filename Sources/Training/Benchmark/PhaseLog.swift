import Foundation
import Glibc
package import LanguageModel

/// What a worker's compute thread did in a step, for `lockstep bench`: a line of JSON a step, in a file of the worker's
/// own below the folder that an environment variable names. Without the variable there is none of it.
package struct PhaseLog: ~Copyable {
    /// The phases of one worker and step. Times are seconds of the machine's monotonic clock, so that those of its
    /// processes compare.
    package struct Entry: Codable, Sendable, Equatable {
        package var step: UInt64
        /// From the step's first lease to the end of its last; nil where the worker got none.
        package var computeStart: Double?
        package var computeEnd: Double?
        package var phases = PhaseTimes()
        package var updateStart = 0.0
        package var updateEnd = 0.0
        /// The largest resident size of the process so far, in bytes.
        package var residentBytes = 0
    }

    /// Names the folder. Set by ``TrainingBenchmark`` only.
    static let variable = "LOCKSTEP_PHASE_LOG"

    private let file: FileHandle
    private var entry = Entry(step: .max)

    /// - Returns: nil where the variable is not set, or no file can be made there.
    init?(environment: [String: String] = ProcessInfo.processInfo.environment) {
        guard let folder = environment[Self.variable] else { return nil }
        let path = "\(folder)/\(getpid()).jsonl"
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { return nil }
        self.file = file
    }

    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// A lease was computed. A worker may get several in one step.
    mutating func computed(step: UInt64, since start: Double, _ phases: PhaseTimes) {
        if entry.step != step { entry = Entry(step: step, computeStart: start) }
        entry.computeEnd = Self.now
        entry.phases += phases
    }

    /// Writes the step's line: the update ends it.
    mutating func updated(step: UInt64, since start: Double) {
        if entry.step != step { entry = Entry(step: step) }
        entry.updateStart = start
        entry.updateEnd = Self.now
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        entry.residentBytes = usage.ru_maxrss * 1024
        // A log that cannot be written shows as missing steps to the reader, who says so.
        guard let line = try? JSONEncoder().encode(entry) else { return }
        try? file.write(contentsOf: line + Data("\n".utf8))
    }

    /// The entries of all workers: one array a worker.
    static func read(folder: URL) throws -> [[Entry]] {
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.filter { $0.pathExtension == "jsonl" }.map { file in
            // A last line without an end was being written as the worker left.
            let lines = try Data(contentsOf: file).split(
                separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            return try lines.dropLast().map { try JSONDecoder().decode(Entry.self, from: Data($0)) }
        }
    }
}
