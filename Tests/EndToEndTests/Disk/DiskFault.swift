/// Makes a process's file system fail.
enum DiskFault {
    /// The environment of a process under a fault; see `disk_fault.c`.
    static func environment(_ plan: String) throws -> [String: String] {
        ["LD_PRELOAD": try library.get(), "DISK_FAULT": plan]
    }

    private static let library = Result { try PreloadedLibrary.compiled("Disk/disk_fault.c") }
}
