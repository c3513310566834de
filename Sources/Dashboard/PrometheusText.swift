package import Coordination

/// A run in the text exposition format of Prometheus, version 0.0.4.
package struct PrometheusText {
    package private(set) var text = ""

    /// The metrics of a run at one moment, in the text format of Prometheus.
    package init(_ snapshot: RunSnapshot, _ counters: RunCounters) {
        let progress = snapshot.progress
        gauge(
            "lockstep_run_info", "The run that this coordinator trains.", 1,
            [
                ("name", snapshot.name), ("run", snapshot.run), ("software", snapshot.software),
            ])
        gauge("lockstep_start_time_seconds", "When this coordinator started, since the epoch.", snapshot.started)
        gauge("lockstep_step", "Committed steps of the run.", Double(progress.step))
        gauge("lockstep_target_steps", "Steps after which the run is complete.", Double(progress.totalSteps))
        gauge("lockstep_epoch", "The epoch, from 1.", Double(progress.epoch))
        gauge("lockstep_loss_nats", "Training loss of the last step, nats a character.", progress.loss)
        gauge("lockstep_validation_loss_nats", "Last validation loss, nats a character.", progress.validationLoss)
        gauge(
            "lockstep_best_validation_loss_nats", "Lowest validation loss, nats a character.",
            progress.bestValidationLoss)
        gauge("lockstep_gradient_norm", "Norm of the last gradient before clipping.", progress.gradientNorm)
        gauge("lockstep_learning_rate", "Learning rate of the last step.", progress.learningRate)
        gauge("lockstep_remaining_seconds", "Estimated time to the end of the run.", progress.remainingSeconds)
        gauge("lockstep_workers", "Connected workers.", Double(snapshot.memberCount))
        gauge("lockstep_open_step_age_seconds", "How long the open step has taken so far.", snapshot.openStep?.age)
        counter("lockstep_steps_total", "Steps committed by this coordinator.", Double(counters.steps))
        counter("lockstep_characters_total", "Characters trained on by this coordinator.", counters.characters)
        counter("lockstep_workers_joined_total", "Workers that joined.", Double(counters.workersJoined))
        counter("lockstep_workers_lost_total", "Workers that were lost.", Double(counters.workersLost))
        counter("lockstep_checkpoints_total", "Checkpoints written.", Double(counters.checkpoints))
        histogram("lockstep_step_seconds", "Duration of a step.", [([], counters.stepSeconds)])
        histogram(
            "lockstep_phase_seconds", "Where the time of a worker's step went.",
            zip(RunCounters.phases, counters.phaseSeconds).map { ([("phase", $0)], $1) })
        members(snapshot.members)
    }

    private mutating func members(_ members: [RunSnapshot.Member]) {
        // Names of workers need not be distinct, and a series may come only once.
        var seen: Set<String> = []
        let series = members.map { member in
            Self.labels([("worker", member.name), ("host", member.host), ("process", "\(member.process)")])
        }
        let members = zip(members, series).filter { seen.insert($0.1).inserted }
        func family(_ name: String, _ help: String, _ value: (RunSnapshot.Member) -> Double?) {
            var hasHead = false
            for (member, labels) in members {
                guard let value = value(member) else { continue }
                if !hasHead { head(name, help, "gauge") }
                hasHead = true
                line(name, labels, value)
            }
        }
        family("lockstep_worker_leased_shards", "Shards of the open step that the worker holds.") {
            Double($0.shards.count)
        }
        family("lockstep_worker_characters_per_second", "Measured speed of the worker.") { $0.charactersPerSecond }
        family("lockstep_worker_silence_seconds", "Time since the worker's last word.") { $0.silence }
        family("lockstep_worker_threads", "Compute threads of the worker.") { Double($0.threads) }
        family("lockstep_worker_computing_ratio", "Share of its recent steps that it computed.") { $0.computing }
        family("lockstep_worker_waiting_ratio", "Share of its recent steps that it waited.") { $0.waiting }
        family("lockstep_worker_sending_ratio", "Share of its recent steps that it sent.") { $0.sending }
    }

    // MARK: The format

    private mutating func gauge(
        _ name: String, _ help: String, _ value: Double?, _ labels: [(String, String)] = []
    ) {
        guard let value else { return }
        head(name, help, "gauge")
        line(name, Self.labels(labels), value)
    }

    private mutating func counter(_ name: String, _ help: String, _ value: Double) {
        head(name, help, "counter")
        line(name, "", value)
    }

    private mutating func histogram(
        _ name: String, _ help: String, _ series: [(labels: [(String, String)], histogram: Histogram)]
    ) {
        head(name, help, "histogram")
        let bucket = name + "_bucket"
        for (labels, histogram) in series {
            let labels = Self.labels(labels)
            let start = labels.isEmpty ? "{" : labels.dropLast() + ","
            var count: UInt64 = 0
            for (bound, own) in zip(Self.bounds, histogram.counts) {
                count += own
                line(bucket, start + bound, Double(count))
            }
            line(name + "_sum", labels, histogram.sum)
            line(name + "_count", labels, Double(count))
        }
    }

    private static let bounds = (Histogram.bounds.map { "\($0)" } + ["+Inf"]).map { "le=\"\($0)\"}" }

    private mutating func head(_ name: String, _ help: String, _ type: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    // Appended piece by piece: a scrape has some 180 of these, and the training runs beside it.
    private mutating func line(_ name: String, _ labels: String, _ value: Double) {
        text += name
        text += labels
        text += " "
        text += value.description
        text += "\n"
    }

    private static func labels(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0)=\"\(escaped($1))\"" }.joined(separator: ",") + "}"
    }

    /// As the format asks for: backslash, quote and line end.
    private static func escaped(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\"") || $0 == 10 }) else {
            return text
        }
        return text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
