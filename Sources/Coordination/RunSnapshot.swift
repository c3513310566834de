/// A run at one moment, as people and other programs see it: what `status`, the live page and `/metrics` show.
///
/// Losses are in nats a character, times in seconds, moments in seconds since 1970. All numbers are finite. Texts may
/// come from workers and corpora: whoever shows them escapes them.
package struct RunSnapshot: Codable, Hashable, Sendable {
    /// How the run stands.
    package enum State: String, Codable, Sendable {
        /// Started again, and looking at what the workers kept.
        case recovering
        /// No step can begin: workers are missing.
        case waiting
        case training
        case finished
        case interrupted
        case failed
        /// A run folder in which nobody trains.
        case stopped
    }

    package var name: String
    /// Identity: 16 hex digits.
    package var run: String
    package var software: String
    package var folder: String
    package var state: State
    package var time: Double
    /// When this coordinator started.
    package var started: Double
    package var progress: Progress
    package var openStep: OpenStep?
    /// All members; `members` may be cut short for a bounded answer.
    package var memberCount = 0
    package var members: [Member] = []
    package var tree: [Node] = []
    package var recentSteps: [Step] = []
    package var events: [Event] = []
    package var checkpoints: [Checkpoint] = []
    package var sample: Sample?
    package var settings: [Setting] = []

    package init(
        name: String, run: String, software: String, folder: String, state: State, time: Double, started: Double,
        progress: Progress
    ) {
        self.name = name
        self.run = run
        self.software = software
        self.folder = folder
        self.state = state
        self.time = time
        self.started = started
        self.progress = progress
    }

    /// How far the run is, by its last committed step; what is not known yet is nil.
    package struct Progress: Codable, Hashable, Sendable {
        /// Committed steps.
        package var step: UInt64
        package var totalSteps: UInt64
        /// From 1.
        package var epoch: UInt64
        package var totalEpochs: UInt64
        package var loss: Double?
        package var validationLoss: Double?
        package var validationStep: UInt64?
        package var bestValidationLoss: Double?
        /// The loss of a perfect model, where it is known.
        package var entropyBound: Double?
        package var gradientNorm: Double?
        package var learningRate: Double?
        package var charactersPerSecond: Double?
        package var stepSeconds: Double?
        package var remainingSeconds: Double?

        package init(step: UInt64, totalSteps: UInt64, epoch: UInt64, totalEpochs: UInt64) {
            self.step = step
            self.totalSteps = totalSteps
            self.epoch = epoch
            self.totalEpochs = totalEpochs
        }
    }

    /// The step that is being computed.
    package struct OpenStep: Codable, Hashable, Sendable {
        /// From 1, as in `metrics.jsonl`.
        package var step: UInt64
        /// nil where the step has not begun.
        package var age: Double?
        package var shards: Int
        package var acceptedShards: Int
        package var chunks: Int
        package var completeChunks: Int
        /// What it waits for, in words.
        package var waiting: String?

        package init(
            step: UInt64, age: Double?, shards: Int, acceptedShards: Int, chunks: Int, completeChunks: Int,
            waiting: String?
        ) {
            self.step = step
            self.age = age
            self.shards = shards
            self.acceptedShards = acceptedShards
            self.chunks = chunks
            self.completeChunks = completeChunks
            self.waiting = waiting
        }
    }

    /// A worker whose session is open.
    package struct Member: Codable, Hashable, Sendable {
        /// The identity of this incarnation: 16 hex digits.
        package var id: String
        package var name: String
        package var host: String
        package var process: UInt32
        package var threads: UInt32
        package var state: MemberState
        /// Shards of the open step that it was leased.
        package var shards: [Int]
        package var reportedShards: Int
        /// Seconds since its last word.
        package var silence: Double
        /// As measured; nil before the first measure.
        package var charactersPerSecond: Double?
        /// Shares of its last steps that it spent computing, waiting and sending: together 1. nil before the first.
        package var computing: Double?
        package var waiting: Double?
        package var sending: Double?

        package init(
            id: String, name: String, host: String, process: UInt32, threads: UInt32, state: MemberState,
            shards: [Int], reportedShards: Int, silence: Double
        ) {
            self.id = id
            self.name = name
            self.host = host
            self.process = process
            self.threads = threads
            self.state = state
            self.shards = shards
            self.reportedShards = reportedShards
            self.silence = silence
        }
    }

    /// A node of the reduction tree of the open step.
    package struct Node: Codable, Hashable, Sendable {
        package var level: Int
        package var firstShard: Int
        package var shards: Int
        /// The share of the gradient's chunks in which it stands.
        package var share: Double

        package init(level: Int, firstShard: Int, shards: Int, share: Double) {
            self.level = level
            self.firstShard = firstShard
            self.shards = shards
            self.share = share
        }
    }

    /// A committed step, and where its workers' time went.
    package struct Step: Codable, Hashable, Sendable {
        /// Where one worker's time went.
        package struct Work: Codable, Hashable, Sendable {
            package var worker: String
            /// When it began to wait for its lease, on the coordinator's clock, as told from its answer's arrival.
            package var began: Double
            /// Seconds, in the order of ``ComputeTimes``; of `awaitingCommit` the first part is `sending`.
            package var awaitingLease: Double
            package var forward: Double
            package var backward: Double
            package var sending: Double
            package var awaitingCommit: Double
            package var update: Double

            package init(
                worker: String, began: Double, awaitingLease: Double, forward: Double, backward: Double,
                sending: Double, awaitingCommit: Double, update: Double
            ) {
                self.worker = worker
                self.began = began
                self.awaitingLease = awaitingLease
                self.forward = forward
                self.backward = backward
                self.sending = sending
                self.awaitingCommit = awaitingCommit
                self.update = update
            }
        }
        package var step: UInt64
        package var committed: Double
        package var seconds: Double
        package var loss: Double
        /// Before clipping.
        package var gradientNorm: Double
        package var charactersPerSecond: Double
        package var workers: [Work] = []

        package init(
            step: UInt64, committed: Double, seconds: Double, loss: Double, gradientNorm: Double,
            charactersPerSecond: Double
        ) {
            self.step = step
            self.committed = committed
            self.seconds = seconds
            self.loss = loss
            self.gradientNorm = gradientNorm
            self.charactersPerSecond = charactersPerSecond
        }
    }

    /// A line of the log.
    package struct Event: Codable, Hashable, Sendable {
        /// What happened, for colours and filters.
        package enum Kind: String, Codable, Sendable {
            case information, joined, lost, evaluation, checkpoint, sample, warning
        }
        /// Counts the events of this start.
        package var number: Int
        package var time: Double
        package var kind: Kind
        package var text: String

        package init(number: Int, time: Double, kind: Kind, text: String) {
            self.number = number
            self.time = time
            self.kind = kind
            self.text = text
        }
    }

    /// A checkpoint in the run folder.
    package struct Checkpoint: Codable, Hashable, Sendable {
        package var step: UInt64
        package var file: String
        package var validationLoss: Double?

        package init(step: UInt64, file: String, validationLoss: Double?) {
            self.step = step
            self.file = file
            self.validationLoss = validationLoss
        }
    }

    /// A text that the model of a step made.
    package struct Sample: Codable, Hashable, Sendable {
        package var step: UInt64
        package var text: String

        package init(step: UInt64, text: String) {
            self.step = step
            self.text = text
        }
    }

    /// A setting of the run, for people.
    package struct Setting: Codable, Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }
}

/// What a worker is at.
package enum MemberState: String, Codable, Sendable {
    /// It takes in the replica.
    case joining
    /// It holds no open lease.
    case idle
    case forward, backward
    /// All its chunks are here; losses and carries are not.
    case result
}
