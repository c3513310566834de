import CZeroMQ
import Glibc

/// Something that ZeroMQ or an address refused, in one line: what happened, where, and what to do.
package struct ZeroMQError: Error, Equatable, CustomStringConvertible {
    /// What was being done, as words that go on from "cannot".
    package enum Operation: String, Sendable {
        case createContext = "start ZeroMQ"
        case createSocket = "open a socket"
        case createWaker = "make an event descriptor"
        case createFrame = "make a message"
        case parseEndpoint = "use the address"
        case listen = "listen on"
        case connect = "connect to"
        case setOption = "set the socket option"
        case getOption = "read the socket option"
        case send = "send a message"
        case receive = "receive a message"
        case poll = "wait for messages"
        case monitor = "watch a socket's connections"
        case curveKey = "use the CURVE key"
    }

    /// The system's or ZeroMQ's error number.
    package var code: Int32
    package var operation: Operation
    /// The address, or the name of the option or key; nil where there is none.
    package var subject: String?
    /// What is wrong and what to do about it.
    package var reason: String

    /// The address that was refused; nil where it was something else.
    package var endpoint: String? {
        switch operation {
        case .parseEndpoint, .listen, .connect: subject
        default: nil
        }
    }

    package var description: String {
        let subject = subject.map { " \($0)" } ?? ""
        return "cannot \(operation.rawValue)\(subject): \(reason)"
    }

    /// - Parameter reason: nil for what the error number says.
    init(_ operation: Operation, code: Int32, subject: String? = nil, reason: String? = nil) {
        self.code = code
        self.operation = operation
        self.subject = subject
        self.reason = reason ?? Self.explanation(code, operation)
    }

    /// From the error number that the last ZeroMQ call of this thread left.
    init(_ operation: Operation, subject: String? = nil) {
        self.init(operation, code: zmq_errno(), subject: subject)
    }

    private static func explanation(_ code: Int32, _ operation: Operation) -> String {
        switch (operation, code) {
        case (.listen, EADDRINUSE): "the address is in use; choose another with --listen or stop the other program"
        case (.listen, EADDRNOTAVAIL), (.listen, ENODEV):
            "this machine has no such address; choose one of its own with --listen"
        case (.listen, EACCES), (.listen, EPERM):
            "permission denied; choose a port above 1023 or a folder that you may write to with --listen"
        case (.listen, ENOENT): "the folder does not exist; make it, or choose another path with --listen"
        case (.createSocket, EMFILE): "too many open files or sockets; raise the limit with ulimit -n"
        default: String(cString: zmq_strerror(code))
        }
    }
}
