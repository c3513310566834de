import Coordination

/// Faults that a coordinator was asked for, and which of its workers gets which.
struct FaultHandout {
    /// None once a member was lost, or a worker refused for wrong bits.
    var plan = FaultPlan.none
    /// The numbers, from 1, of workers that were welcomed. Who is gone before it joined leaves its number to the next.
    private var numbers: [WorkerID: Int] = [:]

    /// The number of the next worker to be welcomed.
    var nextNumber: Int {
        let taken = Set(numbers.values)
        return (1...).first { !taken.contains($0) }!
    }

    func text(forNumber number: Int) -> String { plan.concerning(worker: number).text }

    mutating func welcomed(_ worker: WorkerID, number: Int) { numbers[worker] = number }

    mutating func forget(_ worker: WorkerID) { numbers[worker] = nil }

    /// Hands out no more of them.
    mutating func end() { plan = .none }
}
