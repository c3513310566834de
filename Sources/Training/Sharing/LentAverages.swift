import Coordination
import Kernels

/// The averages that workers of this machine read where they lie: none is written to while someone may still read it.
struct LentAverages {
    private struct Loan {
        let step: UInt64
        let buffer: FloatBuffer
        var readers: Set<WorkerID>
    }

    private var loans: [Loan] = []

    mutating func lend(_ buffer: FloatBuffer, step: UInt64, to worker: WorkerID) {
        if let index = loans.lastIndex(where: { $0.buffer === buffer && $0.step == step }) {
            loans[index].readers.insert(worker)
        } else {
            loans.append(Loan(step: step, buffer: buffer, readers: [worker]))
        }
    }

    /// Ends the loans of what has been applied.
    ///
    /// - Parameter stepsHeld: of a member, how many steps its replica holds, as it says; nil for one that is gone.
    /// - Returns: what someone who is gone may still read, at any time: never to be written to again.
    mutating func settle(stepsHeld: (WorkerID) -> UInt64?) -> [FloatBuffer] {
        var abandoned: [FloatBuffer] = []
        loans.removeAll { loan in
            if loan.readers.contains(where: { stepsHeld($0) == nil }) {
                abandoned.append(loan.buffer)
                return true
            }
            return loan.readers.allSatisfy { stepsHeld($0)! > loan.step }
        }
        return abandoned
    }
}
