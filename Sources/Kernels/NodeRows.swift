import CKernels

/// Shards of one node of the reduction tree that stand side by side in memory.
///
/// A node may be worked off in several parts, in order. A part holds whole shards, or some of the time steps of one.
package struct NodeRows: Sendable {
    /// How many rows stand side by side at each time step.
    package var rows: Int
    /// `T`, or those of the part.
    package var timeSteps: Int
    /// Where the first shard of the part begins among them.
    package var firstRow: Int
    package var rowsPerShard: Int
    /// Shards of this part.
    package var shards: Int
    /// Shards that earlier parts completed.
    package var done = 0
    /// Whether the first shard goes on from the time step where the part before stopped.
    package var continues = false
    /// Whether the last shard goes on in a later part.
    package var isUnfinished = false
    /// Whether this part completes the node.
    package var isLast = true

    package init(rows: Int, timeSteps: Int, firstRow: Int, rowsPerShard: Int, shards: Int) {
        self.rows = rows
        self.timeSteps = timeSteps
        self.firstRow = firstRow
        self.rowsPerShard = rowsPerShard
        self.shards = shards
    }

    var raw: ls_node {
        ls_node(
            rows: rows, time_steps: timeSteps, first_row: firstRow, rows_per_shard: rowsPerShard, count: shards,
            done: done, continues: continues ? 1 : 0, unfinished: isUnfinished ? 1 : 0, is_last: isLast ? 1 : 0)
    }
}
