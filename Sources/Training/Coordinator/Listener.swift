import Foundation
import ZeroMQ

/// A coordinator's socket, bound before anything else is touched: a busy address leaves no run folder behind. What
/// another coordinator may have written, such as the file of its address, comes once the run folder is locked.
///
/// Worker processes of its own come by a private socket within this machine, whatever the address: that costs less than
/// TCP. With keys they get a pair made for this run alone, since CURVE is a matter of the whole socket.
///
/// Used by the thread that made it.
package struct Listener: ~Copyable {
    package let endpoint: String
    /// Where worker processes of its own connect, and with which keys.
    let ownAccess: (endpoint: String, keys: KeyFolder?)
    /// Whether others than these know the address.
    let isOpen: Bool
    let socket: Socket
    let admission: Admission
    private let privateFolder: PrivateFolder?

    /// - Parameters:
    ///   - address: nil for a private socket within this machine.
    ///   - keys: nil to let everyone in who reaches the address.
    ///   - startsWorkers: whether it will have worker processes of its own.
    /// - Throws: ``ZeroMQError`` where the address is malformed, busy or not this machine's; ``ConfigurationError``
    ///   where there is no place for a private socket.
    package init(address: String?, keys: Admission.Keys? = nil, startsWorkers: Bool = false) throws {
        let folder = try address == nil || startsWorkers ? PrivateFolder() : nil
        let privateAddress = folder.map { "ipc://\($0.path)/bus" }
        var keys = keys
        var ownKeys: KeyFolder?
        if let folder, let server = keys?.pair.publicKey {
            ownKeys = KeyFolder(folder.path + "/keys")
            keys!.ownWorkers = try ownKeys!.makePair(owner: "this run's own workers", server: server).publicKey
        }
        let socket = try Socket(.router, context: Context())
        try socket.prepare(maximumFrame: Socket.maximumFrame)
        try socket.set(.routerMandatory(true))
        let admission = try Admission(socket: socket, keys: keys)
        if let privateAddress { try socket.bind(privateAddress) }
        if let address { try socket.bind(address) }
        try admission.begin(socket)
        // Nothing that could throw, and no closure, once a property is stored: with one, optimised code crashed here.
        let bound = try socket.lastEndpoint
        let ownAddress = privateAddress ?? bound
        endpoint = bound
        ownAccess = (ownAddress, ownKeys)
        isOpen = address != nil
        privateFolder = folder
        self.socket = socket
        self.admission = admission
    }

    /// - Throws: ``ConfigurationError`` where no file of the address can be made there. What stands there stays.
    package static func check(endpointFile path: String) throws(ConfigurationError) {
        // It is written beside, and takes its name then: a device's too, such as that of /dev/null.
        guard (try? OutputFile.hold("\(path).\(getpid())")) != nil, OutputFile.isFree(path) else {
            throw unwritable(path)
        }
    }

    /// Writes the address to a file, in the place of what stands there.
    ///
    /// - Throws: ``ConfigurationError`` where the file cannot be written.
    package func write(endpointFile path: String) throws(ConfigurationError) {
        // Not by AtomicFile: an address does not outlive a loss of power.
        do {
            try Data((endpoint + "\n").utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw Self.unwritable(path)
        }
    }

    private static func unwritable(_ path: String) -> ConfigurationError {
        ConfigurationError("--endpoint-file \(path) cannot be written: name a file in a folder that can")
    }

    deinit { admission.close(socket) }
}
