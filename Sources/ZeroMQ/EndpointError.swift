/// A text that is no endpoint.
package struct EndpointError: Error, CustomStringConvertible, Equatable, Sendable {
    package enum Reason: Equatable, Sendable {
        case scheme
        case host
        case port
        case emptyPath
        case nulByte
        case longPath(bytes: Int)
    }

    package let text: String
    package let reason: Reason

    package var description: String {
        let problem =
            switch reason {
            case .scheme: "it must be tcp://host:port or ipc://path"
            case .host: "it needs a host name, an IPv4 address, an IPv6 address in [brackets], or * for all interfaces"
            case .port: "it must end in a port from 0 to 65535, as in tcp://127.0.0.1:5757"
            case .emptyPath: "give a path after ipc://"
            case .nulByte: "a NUL byte cannot be part of it"
            case .longPath(let bytes):
                "its path has \(bytes) bytes: choose one of at most \(Endpoint.maximumPathBytes)"
            }
        return "\(text.debugDescription) is not an endpoint: \(problem)"
    }
}
