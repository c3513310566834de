import CBuildInfo

enum Version {
    /// What peers are told.
    static let text = "0.1.0"

    /// With the commit, where it is known.
    static var withCommit: String {
        let commit = String(cString: lockstep_commit)
        return commit.isEmpty ? text : "\(text) (\(commit))"
    }
}
