import Testing

@Suite("Memory that runs out")
struct MemoryTests {
    private static let fault = Result { try PreloadedLibrary.compiled("Memory/send_fault.c") }

    @Test("A coordinator that cannot send for want of memory leaves a checkpoint that changes no bit")
    func sending() async throws {
        // Whatever a step sends is among eight parts of messages: averages, the commit, the next lease.
        for part in 120..<128 {
            let folder = try TinyRun.folder()
            let failed = try await Execution.run(
                TinyRun.train("--workers=1", "--threads=1", "--checkpoint-every=0"), in: folder,
                environment: ["LD_PRELOAD": try Self.fault.get(), "SEND_FAULT": "\(part)"])
            #expect(failed.code == 1 && failed.errorLines.count == 1, "\(failed.errors)")
            let resumed = try await Execution.run(["train", "--run=run", "--resume", "--quiet"], in: folder)
            #expect(resumed.code == 0, "part \(part): \(resumed.errors)")
            #expect(try await Trace(run: "run", in: folder) == TinyRun.reference, "part \(part)")
        }
    }
}
