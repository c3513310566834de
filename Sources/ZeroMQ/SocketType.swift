import CZeroMQ

/// The message pattern of a socket.
package enum SocketType: Sendable {
    /// Talks to many peers, each named by its routing id.
    case router
    /// Talks to one router, or takes turns among several.
    case dealer
    /// Talks to exactly one other pair socket.
    case pair

    var raw: Int32 {
        switch self {
        case .router: ZMQ_ROUTER
        case .dealer: ZMQ_DEALER
        case .pair: ZMQ_PAIR
        }
    }
}
