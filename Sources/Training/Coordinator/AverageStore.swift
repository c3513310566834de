import Coordination
import Kernels

/// The averages of the open step and of those before it that some worker has not applied yet.
struct AverageStore {
    private var pool: BufferPool
    private var averages: [UInt64: FloatBuffer] = [:]
    private var lent = LentAverages<FloatBuffer>()
    private let floats: Int

    init(floats: Int) {
        self.floats = floats
        pool = BufferPool(count: floats)
    }

    subscript(step: UInt64) -> FloatBuffer { averages[step]! }

    /// The average of the open step, made where there is none yet.
    mutating func open(step: UInt64) -> FloatBuffer {
        let average = averages[step] ?? pool.take()
        averages[step] = average
        return average
    }

    mutating func abandon(step: UInt64) { averages[step] = nil }

    /// New ones lie in memory that workers can open.
    mutating func share() { if !pool.isShared { pool = BufferPool(count: floats, isShared: true) } }

    /// - Returns: where the worker is to read the step's average; nil where a message has to carry it.
    mutating func lend(step: UInt64, to worker: WorkerID) -> SharedPlace? {
        let average = self[step]
        guard let place = average.place, lent.lend(average, at: place, step: step, to: worker) else { return nil }
        return place
    }

    /// - Parameter stepsHeld: that a worker's replica has, nil of one that is gone.
    mutating func forget(before oldest: UInt64, stepsHeld: (WorkerID) -> UInt64?) {
        averages = averages.filter { $0.key >= oldest }
        for buffer in lent.settle(stepsHeld: stepsHeld) { pool.forget(buffer) }
    }
}
