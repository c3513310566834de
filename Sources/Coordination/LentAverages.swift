/// The averages that workers of this machine read where they lie: none is written to while someone may still read it.
///
/// `Average` stands for the memory. A loan holds it, so that what belongs to nobody else is not taken for free.
package struct LentAverages<Average> {
    fileprivate struct Loan {
        let step: UInt64
        let place: SharedPlace
        let average: Average
        var readers: Set<WorkerID>
    }

    /// To one worker, at a time: for one whose computing stands still the average of each further step would be kept.
    private static var limit: Int { 4 }

    private var loans: [Loan] = []

    package init() {}

    /// What is not to be written to at present.
    package var averages: [Average] { loans.map(\.average) }

    /// - Returns: false for a worker that has not applied those that it was lent before: it is to be sent this one.
    package mutating func lend(
        _ average: Average, at place: SharedPlace, step: UInt64, to worker: WorkerID
    ) -> Bool {
        let index = loans.lastIndex { $0.place == place && $0.step == step }
        // All of an average comes in one way: a worker cannot write what is sent into what it was lent.
        if let index, loans[index].readers.contains(worker) { return true }
        guard loans.count(where: { $0.readers.contains(worker) }) < Self.limit else { return false }
        if let index {
            loans[index].readers.insert(worker)
        } else {
            loans.append(Loan(step: step, place: place, average: average, readers: [worker]))
        }
        return true
    }

    /// Ends the loans of what has been applied. The others are kept, so that who has not opened them yet still can.
    ///
    /// - Parameter stepsHeld: of a member, how many steps its replica holds, as it says; nil for one that is gone.
    /// - Returns: what someone who is gone may still read, at any time: never to be written to again.
    package mutating func settle(stepsHeld: (WorkerID) -> UInt64?) -> [Average] {
        var abandoned: [Average] = []
        for index in loans.indices {
            let loan = loans[index]
            loans[index].readers = loan.readers.filter { stepsHeld($0).map { $0 <= loan.step } ?? false }
            if loan.readers.contains(where: { stepsHeld($0) == nil }) { abandoned.append(loan.average) }
        }
        loans.removeAll(where: \.readers.isEmpty)
        return abandoned
    }
}

extension LentAverages: Sendable where Average: Sendable {}
extension LentAverages.Loan: Sendable where Average: Sendable {}
extension LentAverages: Equatable where Average: Equatable {}
extension LentAverages.Loan: Equatable where Average: Equatable {}
extension LentAverages: Hashable where Average: Hashable {}
extension LentAverages.Loan: Hashable where Average: Hashable {}
