import CZeroMQ

/// What happened to a connection of a socket, below the messages.
package enum ConnectionEvent: Sendable, Equatable {
    /// A peer's connection stands; it has proved nothing yet. The descriptor may be closed, or another's, by now.
    case accepted(descriptor: Int32)
    case connected
    /// Both sides have agreed; messages flow.
    case agreed
    case failed(Failure)
    /// The descriptor is that of ``accepted(descriptor:)``.
    case disconnected(descriptor: Int32)
    /// The socket is closed, or reports no more.
    case ended

    /// Why two sides did not agree.
    package enum Failure: Sendable, Equatable {
        /// The server's allowlist said no.
        case notAllowed
        /// One side speaks CURVE and the other does not.
        case mechanism
        /// The other side does not hold the key that it should.
        case cryptography
        /// The other side spoke no ZeroMQ, or broke its rules.
        case protocolViolation
        /// The connection ended before the sides had agreed.
        case ended
    }

    /// nil for what nobody needs to know.
    init?(number: UInt16, value: Int32) {
        switch Int32(number) {
        case ZMQ_EVENT_ACCEPTED: self = .accepted(descriptor: value)
        case ZMQ_EVENT_CONNECTED: self = .connected
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: self = .agreed
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: self = .failed(.notAllowed)
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: self = .failed(.ended)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            switch value {
            case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: self = .failed(.mechanism)
            case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: self = .failed(.cryptography)
            default: self = .failed(.protocolViolation)
            }
        case ZMQ_EVENT_DISCONNECTED: self = .disconnected(descriptor: value)
        case ZMQ_EVENT_MONITOR_STOPPED: self = .ended
        default: return nil
        }
    }
}
