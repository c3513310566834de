import ArgumentParser
import Training
import ZeroMQ

/// Who may reach a coordinator, and how workers find it. What a command does without `--listen` is its own.
struct AccessOptions: ParsableArguments {
    @Option(help: "Write the address to this file.") var endpointFile: String?
    @Option(help: "The folder of the coordinator's keys, from lockstep keys. Only workers with allowed keys get in.")
    var keys: String?
    @Option(help: "The file of the workers' public keys; read again when it changes. (default: allow in --keys)")
    var allow: String?
    @Flag(help: "Listen beyond this machine without authentication. Only on a network that you trust.")
    var insecure = false

    func validate() throws {
        guard keys != nil || allow == nil else {
            throw ValidationError("--allow needs --keys: without keys nobody can be told from another")
        }
        guard keys == nil || !insecure else {
            throw ValidationError("--insecure is for a coordinator without keys: leave it out, or --keys")
        }
    }

    /// The flags that were given, for a resume, but the address and its file.
    var words: [String] {
        CoordinatorRun.words("--keys", keys) + CoordinatorRun.words("--allow", allow)
            + (insecure ? ["--insecure"] : [])
    }

    /// - Throws: ``ConfigurationError`` for keys that cannot be used.
    func readKeys() throws -> Admission.Keys? {
        try keys.map { try Admission.Keys(folder: KeyFolder($0), allow: allow) }
    }

    /// - Returns: what the user was warned of.
    /// - Throws: `UsageError`: a refusal to listen beyond this machine without keys or `--insecure`.
    func checkExposure(of listen: String) throws(UsageError) -> [String] {
        let endpoint = try Endpoint(listen, of: "--listen")
        guard !endpoint.isIPC, !endpoint.isLoopback, keys == nil else { return [] }
        guard insecure else {
            throw UsageError(
                "\(listen) is open to other machines, and nobody is authenticated there: make keys with lockstep keys "
                    + "and give --keys, or give --insecure on a network that you trust")
        }
        let warning = "--insecure: anyone who reaches \(listen) can join the run and change its result"
        CoordinatorRun.warn(warning)
        return [warning]
    }
}
