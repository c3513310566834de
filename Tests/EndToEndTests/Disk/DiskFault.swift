import Foundation
import Testing

/// The library that makes a process's file system fail, compiled by the compiler that built these tests' C sources.
enum DiskFault {
    struct NoCompiler: Error {}

    /// The environment of a process under a fault; see `disk_fault.c`.
    static func environment(_ plan: String) throws -> [String: String] {
        ["LD_PRELOAD": try library.get(), "DISK_FAULT": plan]
    }

    private static let folder = Result { try TemporaryFolder() }

    private static let library = Result {
        let path = try folder.get().file("disk_fault.so").path
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("disk_fault.c")
        for compiler in ["clang", "cc", "gcc"] {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [compiler, "-shared", "-fPIC", "-O1", "-o", path, source.path, "-ldl"]
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            if process.terminationStatus == 0 { return path }
        }
        throw NoCompiler()
    }
}
