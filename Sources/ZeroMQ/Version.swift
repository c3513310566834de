internal import CZeroMQ

/// The version of the libzmq that is linked, such as "4.3.4".
package func versionText() -> String {
    var major: Int32 = 0
    var minor: Int32 = 0
    var patch: Int32 = 0
    zmq_version(&major, &minor, &patch)
    return "\(major).\(minor).\(patch)"
}
