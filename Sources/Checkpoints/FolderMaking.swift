package import Foundation

/// Makes a folder and those above it that are missing; one that is there already is as good.
///
/// - Returns: the folder that cannot be made, and the system's reason; nil where all are there now.
package func makeFolder(_ path: String, mode: mode_t) -> (path: String, reason: String)? {
    if mkdir(path, mode) == 0 { return nil }
    var reason = errno
    let parent = (path as NSString).deletingLastPathComponent
    if reason == ENOENT, !parent.isEmpty, parent != path {
        if let problem = makeFolder(parent, mode: mode) { return problem }
        if mkdir(path, mode) == 0 { return nil }
        reason = errno
    }
    if reason == EEXIST {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return nil }
        reason = ENOTDIR
    }
    return (path, String(cString: strerror(reason)))
}
