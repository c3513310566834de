import Foundation

/// libFuzzer's driver, from the sanitizer's runtime library.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ argumentCount: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// The target that this process fuzzes; set once, before the driver runs.
nonisolated(unsafe) private var target = Target.wire

/// `fuzz TARGET [libFuzzer's flags] [corpus folders or inputs]`, `fuzz list`, or `fuzz seeds FOLDER`.
///
/// The package manager names an executable's entry point so.
@_cdecl("Fuzz_main")
func fuzzMain(_ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
    let command = count > 1 ? String(cString: arguments[1]!) : ""
    switch command {
    case "list":
        for target in Target.allCases { print(target.rawValue) }
        return 0
    case "seeds" where count > 2:
        do { try Seeds.write(to: String(cString: arguments[2]!)) } catch {
            FileHandle.standardError.write(Data("fuzz: \(error)\n".utf8))
            return 1
        }
        return 0
    default: break
    }
    guard let chosen = Target(rawValue: command) else {
        let names = Target.allCases.map(\.rawValue).joined(separator: ", ")
        FileHandle.standardError.write(Data("fuzz: give a target: \(names)\n".utf8))
        return 64
    }
    target = chosen
    for index in 1..<Int(count) { arguments[index] = arguments[index + 1] }
    var rest = count - 1
    var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = arguments
    return runDriver(&rest, &pointer) { testOneInput($0, $1) }
}

/// One input; the runtime library asks for the name.
@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    target.test(UnsafeRawBufferPointer(start: bytes, count: count))
    return 0
}
