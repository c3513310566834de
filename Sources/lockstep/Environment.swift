/// Flags of `coordinator` and `worker` may come from the environment as `LOCKSTEP_<FLAG>`; a flag given wins.
enum Environment {
    private static let shared = [
        "inject"
    ]
    private static let worker =
        shared + ["connect", "endpoint-file", "threads", "name", "retry-for"]
    private static let coordinator =
        shared + [
            "hidden", "layers", "dropout", "initializer", "forget-bias", "batch", "window", "validation",
            "validation-split", "vocabulary", "initialize-from", "clip-value", "patience",
            "shards", "seed", "optimizer", "learning-rate", "momentum", "weight-decay", "beta1", "beta2", "epsilon",
            "alpha", "clip", "schedule", "schedule-unit", "schedule-size", "schedule-gamma", "schedule-after",
            "schedule-minimum", "warmup", "epochs", "steps", "run", "checkpoint-every", "evaluate-every",
            "sample-every", "keep", "config", "listen", "minimum-workers", "endpoint-file", "worker-timeout",
            "heartbeat", "audit", "trace", "dashboard", "dashboard-token",
        ]
    private static let switches = ["no-bias", "stateless", "resume", "quiet", "insecure"]

    /// The arguments with what the environment adds behind them.
    static func completed(_ arguments: [String], environment: [String: String]) -> [String] {
        guard let command = arguments.first, command == "worker" || command == "coordinator" else { return arguments }
        var result = arguments
        func isGiven(_ flag: String) -> Bool {
            arguments.contains { $0 == "--\(flag)" || $0.hasPrefix("--\(flag)=") }
        }
        func value(_ flag: String) -> String? {
            let name = "LOCKSTEP_" + flag.uppercased().replacing("-", with: "_")
            return environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        for flag in command == "worker" ? worker : coordinator where !isGiven(flag) {
            // One word, so that a value that begins with a dash is taken as a value.
            if let value = value(flag) { result.append("--\(flag)=\(value)") }
        }
        if command == "coordinator" {
            for flag in switches where !isGiven(flag) && ["1", "true", "yes"].contains(value(flag) ?? "") {
                result.append("--\(flag)")
            }
        }
        return result
    }
}
