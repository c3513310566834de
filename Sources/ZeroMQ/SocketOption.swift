import CZeroMQ

/// A setting of a socket. To be made before `bind` and `connect`: most have no effect on addresses already in use.
package enum SocketOption: Sendable {
    /// How long queued messages are still delivered after the socket was closed.
    case linger(milliseconds: Int)
    /// Messages queued for a peer at most; 0 for no bound.
    case sendHighWaterMark(Int)
    /// Messages of a peer that wait to be received at most; 0 for no bound.
    case receiveHighWaterMark(Int)
    /// In bytes. A peer that sends a larger frame is disconnected. Without it a decoder allocates whatever a peer declares.
    case maximumMessageSize(Int)
    /// Queue messages only for connections that stand: without a peer, sending would block.
    case immediate(Bool)
    /// From the loss of a connection to the first attempt to restore it.
    case reconnectInterval(milliseconds: Int)
    /// The interval doubles up to this after each failure.
    case reconnectIntervalMaximum(milliseconds: Int)
    /// An unknown routing id is an outcome of sending, not a message dropped in silence.
    case routerMandatory(Bool)
    /// 1 to 255 bytes, the first not 0.
    case routingID([UInt8])
    /// Takes IPv6 addresses too.
    case ipv6(Bool)
    /// Accepts CURVE clients only. With `zapDomain` the process's ``CurveAllowlist`` says which.
    case curveServer(CurveKeyPair)
    /// Speaks CURVE to the server with this public key.
    case curveClient(CurveKeyPair, server: CurveKey)
    /// Asks the process's ``CurveAllowlist`` about every client. Where none answers, libzmq lets them in: messages of such
    /// a client have no ``ReceivedMessage/sender``.
    case zapDomain(String)

    /// For messages to people.
    var name: String {
        switch self {
        case .linger: "linger"
        case .sendHighWaterMark: "send high-water mark"
        case .receiveHighWaterMark: "receive high-water mark"
        case .maximumMessageSize: "maximum message size"
        case .immediate: "immediate"
        case .reconnectInterval: "reconnect interval"
        case .reconnectIntervalMaximum: "maximum reconnect interval"
        case .routerMandatory: "router mandatory"
        case .routingID: "routing id"
        case .ipv6: "IPv6"
        case .curveServer: "CURVE server"
        case .curveClient: "CURVE client"
        case .zapDomain: "ZAP domain"
        }
    }

    /// The calls of `zmq_setsockopt` that make it up.
    var settings: [(option: Int32, value: Value)] {
        switch self {
        case .linger(let time): [(ZMQ_LINGER, .number(time))]
        case .sendHighWaterMark(let count): [(ZMQ_SNDHWM, .number(count))]
        case .receiveHighWaterMark(let count): [(ZMQ_RCVHWM, .number(count))]
        case .maximumMessageSize(let bytes): [(ZMQ_MAXMSGSIZE, .wideNumber(Int64(bytes)))]
        case .immediate(let isOn): [(ZMQ_IMMEDIATE, .flag(isOn))]
        case .reconnectInterval(let time): [(ZMQ_RECONNECT_IVL, .number(time))]
        case .reconnectIntervalMaximum(let time): [(ZMQ_RECONNECT_IVL_MAX, .number(time))]
        case .routerMandatory(let isOn): [(ZMQ_ROUTER_MANDATORY, .flag(isOn))]
        case .routingID(let bytes): [(ZMQ_ROUTING_ID, .bytes(bytes))]
        case .ipv6(let isOn): [(ZMQ_IPV6, .flag(isOn))]
        case .curveServer(let pair):
            [
                (ZMQ_CURVE_SERVER, .flag(true)), (ZMQ_CURVE_PUBLICKEY, .bytes(pair.publicKey.bytes)),
                (ZMQ_CURVE_SECRETKEY, .bytes(pair.secretKey.bytes)),
            ]
        case .curveClient(let pair, let server):
            [
                (ZMQ_CURVE_SERVERKEY, .bytes(server.bytes)), (ZMQ_CURVE_PUBLICKEY, .bytes(pair.publicKey.bytes)),
                (ZMQ_CURVE_SECRETKEY, .bytes(pair.secretKey.bytes)),
            ]
        case .zapDomain(let name): [(ZMQ_ZAP_DOMAIN, .bytes(Array(name.utf8)))]
        }
    }

    enum Value {
        case number(Int)
        case wideNumber(Int64)
        case flag(Bool)
        case bytes([UInt8])
    }
}
