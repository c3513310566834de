/// What became of a message. In the latter two cases nothing of it was sent.
package enum SendOutcome: Sendable, Equatable {
    /// It is queued, whole, for the peer.
    case sent
    /// The queue is full, or a dealer is not connected: try again later.
    case wouldBlock
    /// A router (with `.routerMandatory`) has no connection to this routing id.
    case unreachable
}
