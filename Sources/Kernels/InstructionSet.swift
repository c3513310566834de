package import CKernels
import Foundation

/// The table of kernels that this process uses, chosen once: `LOCKSTEP_ISA` names a path (`v4`, `v3` or `baseline`),
/// else it is the best that the processor runs. All paths give the same bits.
package enum InstructionSet {
    /// `LOCKSTEP_ISA` names a path that is none, or that this processor does not run.
    package struct Unavailable: Error, CustomStringConvertible {
        package let description: String
    }

    // Unsafe: a table is a constant of the C side, so that its pointer may be shared.
    nonisolated(unsafe) private static let chosen = Result { () throws(Unavailable) in
        let name = ProcessInfo.processInfo.environment["LOCKSTEP_ISA"] ?? ""
        return try table(named: name.isEmpty ? nil : name)
    }

    /// The name of the path in use.
    ///
    /// - Throws: ``Unavailable``. Call it once at the start: afterwards kernels take the choice for granted.
    package static func select() throws(Unavailable) -> String { String(cString: try chosen.get().pointee.name) }

    /// The paths that this processor runs, fastest first. In debug builds there is `v4-tiles` too, which has the tiles of
    /// `v4` and the instructions of `v3`: tests reach the loops of `v4` where there is no AVX-512.
    package static var available: [String] {
        ["v4", "v3", "v4-tiles", "baseline"].filter { ls_kernels_named($0) != nil }
    }

    /// - Parameter name: nil for the best.
    /// - Throws: ``Unavailable`` for a name that is none, or that this processor does not run.
    package static func table(named name: String?) throws(Unavailable) -> UnsafePointer<ls_kernels> {
        if let table = ls_kernels_named(name) { return table }
        throw Unavailable(
            description: "LOCKSTEP_ISA=\(name ?? "") is no instruction set that this processor runs: use one of "
                + "\(available.joined(separator: ", ")), or leave it out")
    }

    /// The kernels of the path in use. Ends the program where ``select()`` would throw.
    package static var table: UnsafePointer<ls_kernels> {
        switch chosen {
        case .success(let table): table
        case .failure(let error): fatalError(error.description)
        }
    }
}
