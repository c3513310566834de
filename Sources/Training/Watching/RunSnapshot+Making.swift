import Checkpoints
package import Coordination
import Foundation
import LanguageModel

extension RunSnapshot {
    /// - Parameter step: committed steps.
    init(configuration: RunConfiguration, folder: String, state: State, step: UInt64, time: Double) {
        let perEpoch = configuration.stepsPerEpoch
        self.init(
            name: URL(fileURLWithPath: folder).lastPathComponent, run: configuration.run,
            software: configuration.software, folder: folder, state: state, time: time, started: time,
            progress: Progress(
                step: step, totalSteps: configuration.totalSteps, epoch: (max(step, 1) - 1) / perEpoch + 1,
                totalEpochs: (configuration.totalSteps + perEpoch - 1) / perEpoch))
        settings = Self.settings(of: configuration)
    }

    private static func settings(of configuration: RunConfiguration) -> [Setting] {
        let model = configuration.model
        let optimizer = configuration.optimizer
        return [
            Setting(name: "text", value: configuration.corpus.name),
            Setting(name: "characters", value: "\(configuration.corpus.characters)"),
            Setting(name: "vocabulary", value: "\(model.vocabulary)"),
            Setting(name: "layers", value: "\(model.layers)"), Setting(name: "hidden", value: "\(model.hidden)"),
            Setting(name: "parameters", value: "\(configuration.layout.count)"),
            Setting(name: "dropout", value: "\(configuration.dropout)"),
            Setting(name: "batch", value: "\(configuration.batch)"),
            Setting(name: "window", value: "\(configuration.window)"),
            Setting(name: "shards", value: "\(configuration.shards)"),
            Setting(name: "optimizer", value: optimizer.kind.rawValue),
            Setting(name: "learning rate", value: "\(optimizer.learningRate)"),
            Setting(name: "clip", value: "\(configuration.clip)"),
            Setting(name: "validation", value: "\(configuration.validation)"),
            Setting(name: "steps", value: "\(configuration.totalSteps)"),
            Setting(name: "steps an epoch", value: "\(configuration.stepsPerEpoch)"),
            Setting(name: "seed", value: "\(configuration.seed)"),
        ]
    }

    mutating func take(
        _ status: ClusterStatus, facts: [WorkerID: RunMonitor.WorkerFacts], charactersPerShard: Double
    ) {
        if status.isRecovering {
            state = .recovering
        } else if !status.isFinished {
            state = status.age == nil ? .waiting : .training
        }
        openStep =
            status.isFinished
            ? nil
            : OpenStep(
                step: status.step + 1, age: status.age.map { Double($0) / 1e9 }, shards: status.shards,
                acceptedShards: status.acceptedShards, chunks: status.chunks,
                completeChunks: status.completeChunks, waiting: status.waitingReason)
        memberCount = status.members.count
        members = status.members.map { known in
            var member = Member(
                id: known.worker.hexadecimal, name: known.hello.name, host: known.hello.host,
                process: known.hello.process, threads: known.hello.threads, state: known.state,
                shards: known.shards, reportedShards: known.reportedShards, silence: Double(known.silence) / 1e9)
            member.charactersPerSecond = known.cost.map { charactersPerShard * 1e9 / Double(max(1, $0)) }
            if let spent = facts[known.worker]?.spent {
                let total = spent.computing + spent.waiting + spent.sending
                if total > 0 {
                    member.computing = spent.computing / total
                    member.waiting = spent.waiting / total
                    member.sending = spent.sending / total
                }
            }
            return member
        }
        tree = status.tree.map {
            Node(
                level: $0.node.level, firstShard: $0.shards.lowerBound, shards: $0.shards.count,
                share: Double($0.chunks) / Double(max(1, status.chunks)))
        }
    }

    /// JSON of at most `limit` bytes: what does not fit is cut from the lists.
    package func encoded(limit: Int = .max) -> [UInt8] {
        var snapshot = self
        while true {
            let bytes = snapshot.json
            if bytes.count <= limit { return bytes }
            precondition(!snapshot.members.isEmpty || !snapshot.events.isEmpty, "nothing is left to cut")
            snapshot.members.removeLast((snapshot.members.count + 1) / 2)
            snapshot.events.removeFirst((snapshot.events.count + 1) / 2)
            snapshot.recentSteps.removeFirst((snapshot.recentSteps.count + 1) / 2)
        }
    }

    /// Reads the JSON of a `status` message or of the page.
    ///
    /// - Throws: `DecodingError` for anything else.
    package init(encoded: some Sequence<UInt8>) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(Self.self, from: Data(encoded))
    }
}
