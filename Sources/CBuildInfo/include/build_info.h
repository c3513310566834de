// What this build was made from.

/// The commit, with a plus behind it where files were changed since; empty where it is not known.
extern const char *const lockstep_commit;
