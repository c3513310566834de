import Coordination
import Kernels

/// The averages that workers of this machine read where they lie: none is written to while someone may still read it.
struct LentAverages {
    private struct Loan {
        let step: UInt64
        let buffer: FloatBuffer
        var readers: Set<WorkerID>
    }

    /// To one worker, at a time: for one whose computing stands still the average of each further step would be kept.
    private static let limit = 4

    private var loans: [Loan] = []

    /// - Returns: false for a worker that has not applied those that it was lent before: it is to be sent this one.
    mutating func lend(_ buffer: FloatBuffer, step: UInt64, to worker: WorkerID) -> Bool {
        let index = loans.lastIndex { $0.buffer === buffer && $0.step == step }
        // All of an average comes in one way: a worker cannot write what is sent into what it was lent.
        if let index, loans[index].readers.contains(worker) { return true }
        guard loans.count(where: { $0.readers.contains(worker) }) < Self.limit else { return false }
        if let index {
            loans[index].readers.insert(worker)
        } else {
            loans.append(Loan(step: step, buffer: buffer, readers: [worker]))
        }
        return true
    }

    /// Ends the loans of what has been applied. The others are kept, so that who has not opened them yet still can.
    ///
    /// - Parameter stepsHeld: of a member, how many steps its replica holds, as it says; nil for one that is gone.
    /// - Returns: what someone who is gone may still read, at any time: never to be written to again.
    mutating func settle(stepsHeld: (WorkerID) -> UInt64?) -> [FloatBuffer] {
        var abandoned: [FloatBuffer] = []
        for index in loans.indices {
            let loan = loans[index]
            loans[index].readers = loan.readers.filter { stepsHeld($0).map { $0 <= loan.step } ?? false }
            if loan.readers.contains(where: { stepsHeld($0) == nil }) { abandoned.append(loan.buffer) }
        }
        loans.removeAll(where: \.readers.isEmpty)
        return abandoned
    }
}
