import Foundation

/// Makes a folder and those above it that are missing; one that is there already is as good.
///
/// - Returns: the system's reason where there is none now.
func makeFolder(_ path: String, mode: mode_t) -> String? {
    if mkdir(path, mode) == 0 { return nil }
    var reason = errno
    let parent = (path as NSString).deletingLastPathComponent
    if reason == ENOENT, !parent.isEmpty, parent != path {
        if let reason = makeFolder(parent, mode: mode) { return reason }
        if mkdir(path, mode) == 0 { return nil }
        reason = errno
    }
    if reason == EEXIST {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return nil }
        reason = ENOTDIR
    }
    return String(cString: strerror(reason))
}
