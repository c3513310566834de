import Foundation

/// What `/proc` tells about this machine's processes.
enum ProcessTable {
    /// The ids of the processes that `parent` started and that have not ended.
    static func children(of parent: Int32) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap(Int32.init)
            .filter { state(of: $0)?.parent == parent && isRunning($0) }
    }

    /// The child of `parent` with `argument` on its command line.
    static func child(of parent: Int32, with argument: String) throws -> Int32? {
        try children(of: parent).first { id in
            guard let line = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") else { return false }
            return line.split(separator: 0).contains { String(decoding: $0, as: UTF8.self) == argument }
        }
    }

    /// False for a zombie also: nothing of it runs any more.
    static func isRunning(_ id: Int32) -> Bool { state(of: id).map { $0.letter != "Z" && $0.letter != "X" } ?? false }

    /// True for a process that a signal has stopped.
    static func isStopped(_ id: Int32) -> Bool { state(of: id)?.letter == "T" }

    /// Whether a process holds a signal back, as one does that watches for it.
    static func blocks(_ signal: Int32, in id: Int32) -> Bool {
        guard let data = FileManager.default.contents(atPath: "/proc/\(id)/status") else { return false }
        let line = String(decoding: data, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("SigBlk:") }
        let mask = line.flatMap { UInt64($0.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16) } ?? 0
        return mask & 1 << UInt64(signal - 1) != 0
    }

    /// The memory that a process holds.
    static func residentBytes(of id: Int32) -> Int? {
        guard let data = FileManager.default.contents(atPath: "/proc/\(id)/status") else { return nil }
        let line = String(decoding: data, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.split(separator: " ").dropLast().last ?? "") }.map { $0 << 10 }
    }

    private static func state(of id: Int32) -> (letter: Substring, parent: Int32)? {
        guard let data = FileManager.default.contents(atPath: "/proc/\(id)/stat") else { return nil }
        // The name before the last parenthesis may hold anything.
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[end...].split(separator: " ")
        guard fields.count > 2, let parent = Int32(fields[2]) else { return nil }
        return (fields[1], parent)
    }
}
