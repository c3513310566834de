package import Coordination

/// A worker's routing id on the socket: a letter and the incarnation, so that the transport itself vouches for it.
package enum RoutingIdentity {
    /// The 9 bytes of a worker's routing id.
    package static func bytes(_ worker: WorkerID) -> [UInt8] {
        [0x57] + (0..<8).map { UInt8(truncatingIfNeeded: worker >> (56 - 8 * UInt64($0))) }
    }

    /// nil for an id that no worker of ours would choose.
    package static func worker(_ bytes: [UInt8]) -> WorkerID? {
        guard bytes.count == 9, bytes[0] == 0x57 else { return nil }
        let worker = bytes.dropFirst().reduce(0) { $0 << 8 | UInt64($1) }
        return worker == 0 ? nil : worker
    }
}
