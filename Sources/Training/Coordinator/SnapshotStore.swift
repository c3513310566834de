import Coordination
import Kernels

/// Copies of the replica for workers that join: one for all that join after the same step.
struct SnapshotStore {
    /// The copies for workers that have not been sent all of them.
    private var held: [WorkerID: [FloatBuffer]] = [:]
    private var newest: (step: UInt64, buffers: [FloatBuffer])?

    mutating func take(of replica: Replica, step: UInt64, for worker: WorkerID) {
        if newest?.step != step { newest = (step, replica.buffers.map { $0.copy() }) }
        held[worker] = newest!.buffers
    }

    /// One of the replica's buffers, as the worker gets it.
    func buffer(_ index: Int, for worker: WorkerID) -> FloatBuffer { held[worker]![index] }

    mutating func forget(_ worker: WorkerID) { held[worker] = nil }

    /// The replica has moved on.
    mutating func forgetNewest() { newest = nil }
}
