import Foundation

/// A library that is preloaded into a process under test to make its system calls fail, compiled by the compiler that
/// built these tests' C sources.
enum PreloadedLibrary {
    struct NoCompiler: Error {}

    private static let folder = Result { try TemporaryFolder() }

    /// - Parameter source: a C file beside this one, or below.
    /// - Returns: the path of the library.
    static func compiled(_ source: String) throws -> String {
        let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
        let path = try folder.get().file("\(name).so").path
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        for compiler in ["clang", "cc", "gcc"] {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [
                compiler, "-shared", "-fPIC", "-O1", "-o", path, here.appendingPathComponent(source).path, "-ldl",
            ]
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            if process.terminationStatus == 0 { return path }
        }
        throw NoCompiler()
    }
}
