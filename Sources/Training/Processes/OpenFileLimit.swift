import Glibc

/// Lets the process open as many files (and sockets) as the system's hard limit allows. Where that is refused it goes on
/// with what it has.
///
/// - Parameter workers: processes that this one starts, of which each takes some more.
/// - Throws: ``ConfigurationError`` where so few may be open that the transport, which ends the process then, would have
///   too few.
package func raiseOpenFileLimit(workers: Int = 0) throws(ConfigurationError) {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return }
    var raised = limit
    raised.rlim_cur = limit.rlim_max
    if setrlimit(resource, &raised) == 0 { limit = raised }
    let needed = 40 + 4 * workers
    guard limit.rlim_cur >= needed else {
        throw ConfigurationError(
            "this process may open \(limit.rlim_cur) files, too few: allow it \(needed) or more (ulimit -n \(needed))")
    }
}
