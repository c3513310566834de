/// The envelope of every message: who speaks, for which run, and where in the session's order.
package struct Envelope: Hashable, Sendable {
    package var run: UInt64
    package var worker: WorkerID
    /// 1 for the first message of a session in this direction, then one more each.
    package var sequence: UInt64
    /// The last sequence received in the other direction: returns credits.
    package var acknowledged: UInt64

    package init(run: UInt64, worker: WorkerID, sequence: UInt64, acknowledged: UInt64) {
        self.run = run
        self.worker = worker
        self.sequence = sequence
        self.acknowledged = acknowledged
    }
}

extension Envelope {
    func encode(into writer: inout ByteWriter) {
        writer.put(run)
        writer.put(worker)
        writer.put(sequence)
        writer.put(acknowledged)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            run: try reader.take(), worker: try reader.take(), sequence: try reader.take(),
            acknowledged: try reader.take())
    }
}
