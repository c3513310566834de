package import CKernels
import Foundation

/// The table of kernels that this process uses, chosen once.
package enum InstructionSet {
    package struct Unavailable: Error, CustomStringConvertible {
        package let description: String
    }

    /// A table is a constant of the C side, so sharing the pointer is safe. `LOCKSTEP_ISA` names a path (`v4`, `v3` or `baseline`); else the best that the processor runs.
    nonisolated(unsafe) private static let chosen: Result<UnsafePointer<ls_kernels>, Unavailable> = {
        let name = ProcessInfo.processInfo.environment["LOCKSTEP_ISA"]
        if let table = ls_kernels_named(name) { return .success(table) }
        return .failure(
            Unavailable(
                description: "LOCKSTEP_ISA=\(name ?? "") is no instruction set of this processor: "
                    + "use v4, v3 or baseline, or leave it out"))
    }()

    /// The name of the path in use.
    ///
    /// - Throws: ``Unavailable``. Call it once at the start: afterwards kernels take the choice for granted.
    package static func select() throws(Unavailable) -> String { String(cString: try chosen.get().pointee.name) }

    /// The paths that this processor runs.
    package static var available: [String] { ["v4", "v3", "baseline"].filter { ls_kernels_named($0) != nil } }

    package static var table: UnsafePointer<ls_kernels> {
        switch chosen {
        case .success(let table): table
        case .failure(let error): fatalError(error.description)
        }
    }
}
