/// A doubt that the coordinator settles by computing the shards itself.
package struct Dispute: Hashable, Sendable {
    /// What is in doubt.
    package enum Kind: Hashable, Sendable {
        /// A worker sent an infinity or a NaN: its own, or the model's?
        case notFinite(from: Sender)
        /// - Parameter report: nil where the auditor has none that counts: it is lost, late, or sent the values itself.
        case audit(ShardValues, auditor: Sender, report: ShardAnswer?)
    }
    /// From 0.
    package let step: UInt64
    package let shards: [Int]
    package let kind: Kind

    /// For the log.
    package var reason: String {
        switch kind {
        case .notFinite: "a worker sent what is not finite"
        case .audit(_, _, report: nil): "the worker that was to audit is lost, late, or holds the shard itself"
        case .audit: "two workers differ"
        }
    }
}
