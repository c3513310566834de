import Foundation
import ZeroMQ

/// A coordinator's socket, bound before anything else is touched: a busy address leaves no run folder behind.
///
/// Used by the thread that made it.
package struct Listener: ~Copyable {
    package let endpoint: String
    let socket: Socket
    let admission: Admission
    private let privateFolder: PrivateFolder?

    /// - Parameters:
    ///   - address: nil for a private socket within this machine.
    ///   - keys: nil to let everyone in who reaches the address.
    ///   - endpointFile: gets the address, once it is bound.
    /// - Throws: ``ZeroMQError`` where the address is malformed, busy or not this machine's; ``ConfigurationError`` where
    ///   the file cannot be written.
    package init(address: String?, keys: Admission.Keys? = nil, endpointFile: String?) throws {
        let folder = try address == nil ? PrivateFolder() : nil
        let socket = try Socket(.router, context: Context())
        try socket.prepare(maximumFrame: Socket.maximumFrame)
        try socket.set(.routerMandatory(true))
        let admission = try Admission(socket: socket, keys: keys)
        try socket.bind(address ?? "ipc://\(folder!.path)/bus")
        try admission.begin(socket)
        let endpoint = try socket.lastEndpoint
        if let endpointFile {
            do {
                try Data((endpoint + "\n").utf8).write(to: URL(fileURLWithPath: endpointFile), options: .atomic)
            } catch {
                throw ConfigurationError(
                    "--endpoint-file \(endpointFile) cannot be written: name a file in a folder that can")
            }
        }
        self.endpoint = endpoint
        privateFolder = folder
        self.socket = socket
        self.admission = admission
    }

    deinit { admission.close(socket) }
}
