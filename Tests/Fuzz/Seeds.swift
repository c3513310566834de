import Coordination
import Foundation
import Kernels
import LanguageModel

@testable import Checkpoints

/// Sound inputs for every target, small: the fuzzer's starting points. `Fuzz seeds FOLDER` writes them, as
/// `make fuzz` does.
enum Seeds {
    static let configuration = Array(
        """
        {"software":"0","run":"00000000000000aa","corpus":{"name":"t","sha256":"ab","characters":900},\
        "model":{"vocabulary":5,"hidden":2,"layers":1,"bias":true},"dropout":0.5,"initializer":"torch","batch":4,\
        "window":3,"validation":0.1,"stateless":false,"shards":2,"seed":7,"optimizer":{"kind":"adam",\
        "learningRate":0.001,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"alpha":0.99,"momentum":0,"dampening":0,\
        "nesterov":false,"centered":false,"amsgrad":false,"weightDecay":0},"clip":5,"schedule":\
        \(schedule),"totalSteps":40,"stepsPerEpoch":9,"format":1,\
        "upkeep":{"checkpointEvery":"60s","sampleEvery":"0","evaluateEvery":"500","keep":3}}
        """.utf8)

    private static let schedule: String = {
        let encoded = try? JSONEncoder().encode(LearningRateSchedule(warmup: 2))
        return String(decoding: encoded ?? Data(), as: UTF8.self)
    }()

    private static let schedules = [
        LearningRateSchedule(.step(size: 3, gamma: 0.5), unit: .epoch),
        LearningRateSchedule(.exponential(gamma: 0.9, after: 2), warmup: 3, warmupStart: 0.1),
        LearningRateSchedule(.cosine(period: 7, minimum: 0.0001)),
        LearningRateSchedule(.cosine(period: nil, minimum: 0)),
    ]

    static func write(to path: String) throws {
        for target in Target.allCases {
            let folder = URL(fileURLWithPath: path).appendingPathComponent(target.rawValue)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for (number, bytes) in try seeds(target).enumerated() {
                try Data(bytes).write(to: folder.appendingPathComponent("seed-\(number)"))
            }
        }
    }

    private static func seeds(_ target: Target) throws -> [[UInt8]] {
        switch target {
        case .wire: messages.map { Wire.encode($0, Envelope(run: 1, worker: 2, sequence: 3, acknowledged: 4)) }
        case .lease: [[0x02] + Array(repeating: 0, count: 2 * 2 * 4 * 4), [0x00]]
        case .header:
            [
                Array(repeating: 0, count: 8) + Array("{}".utf8),
                [0, 0, 0, 0, 0, 0, 0, 24]
                    + Array(
                        (#"{"__metadata__":{"a":"é\n\u00e9\ud83d\ude00"},"x":{"dtype":"F32","shape":[2,3],"#
                            + #""data_offsets":[0,24]}}  "#).utf8),
            ]
        case .model, .checkpoint: [try checkpointBytes()]
        case .configuration:
            try schedules.map { schedule in
                var object = try JSONSerialization.jsonObject(with: Data(configuration)) as? [String: Any] ?? [:]
                object["schedule"] = try JSONSerialization.jsonObject(with: JSONEncoder().encode(schedule))
                object["initializer"] = "uniform:0.1"
                return Array(try JSONSerialization.data(withJSONObject: object, options: .sortedKeys))
            } + [configuration]
        case .vocabulary: [Array("{\"format\":1,\"characters\":\"\\n abcé漢\"}".utf8)]
        case .corpus: [Array("plain text, long enough\n".utf8), Array("naïve 漢字 \u{1F600}\r\n".utf8)]
        case .metrics:
            [
                Array(
                    (1...5).map {
                        "{\"step\":\($0),\"epoch\":1,\"loss\":2.5,\"gradient_norm\":1e-3,\"learning_rate\":0.1,"
                            + "\"characters_per_second\":8,\"step_seconds\":0.5,\"workers\":1,"
                            + "\"digest\":\"00000000000000a\($0)\"\($0 == 3 ? ",\"validation_loss\":2" : "")}\n"
                    }.joined().utf8)
            ]
        }
    }

    private static let times: ComputeTimes = {
        var times = ComputeTimes()
        times.forward = 1000
        times.threads = [
            [
                ThreadSpan(phase: .forward, beforeEnd: 9, length: 2),
                ThreadSpan(phase: .update, beforeEnd: 3, length: 3),
            ], [],
        ]
        return times
    }()

    private static let messages: [Message] = {
        let facts = StepFacts(lossBits: 1, gradientNormBits: 2, nanoseconds: 3, workers: 4)
        let offer = Offer(
            step: 4, digest: 1, stateDigest: 2, carries: [.init(step: 4, shards: [0, 2])], historyFrom: 2)
        let place = SharedPlace(process: 7, descriptor: 8, tag: 9)
        return [
            .hello(Hello(run: 9, name: "w", host: "é", process: 7, threads: 2, software: "1", term: 5, offer: offer)),
            .welcome(
                Welcome(
                    run: 9, term: 5, step: 3, snapshotParts: 6, heartbeatInterval: 7, silenceLimit: 8,
                    configuration: [1, 2], faults: "kill@step=5")),
            .hello(Hello(run: 0, name: "w", host: "h", process: 7, threads: 2, software: "1", memory: place)),
            .welcome(
                Welcome(
                    run: 9, term: 5, step: 3, snapshotParts: 6, heartbeatInterval: 7, silenceLimit: 8,
                    configuration: [1, 2], memory: place)),
            .gradient(
                GradientPart(generation: 1, step: 0, node: TreeNode(level: 2, index: 0), chunk: 1, memory: place)),
            .average(AveragePart(step: 3, chunk: 4, memory: place)),
            .refuse(Refusal(code: .full, reason: "r")), .snapshot(SnapshotPart(step: 0, part: 0)),
            .lease(Lease(generation: 2, step: 3, shards: [0, 1, 5], carried: [1], resetsCarry: false)),
            .gradient(GradientPart(generation: 1, step: 0, node: TreeNode(level: 2, index: 0), chunk: 1)),
            .nodeResult(
                NodeResult(generation: 1, step: 0, node: TreeNode(level: 1, index: 0), lossBits: [5, 6])),
            .average(AveragePart(step: 3, chunk: 4)),
            .commit(
                Commit(
                    step: 3, learningRateBits: 1, clipCoefficientBits: 2, biasCorrection1Bits: 3,
                    biasCorrection2Bits: 4, record: facts)),
            .applied(Applied(step: 0, digest: 1, times: times)), .heartbeat, .goodbye, .finish,
            .recall(Recall(step: 4, wantsReplica: true, shards: [0, 3], historyFrom: 2)),
            .carry(CarryPart(step: 4, shard: 3)),
            .history([HistoryRecord(step: 5, learningRateBits: 6, digest: 7, facts: facts)]),
            .audited(
                AuditReport(
                    generation: 1, step: 0, shard: 3,
                    answer: ShardAnswer(lossBits: 4, carryDigest: 5, chunkDigests: [6, 7]))),
            .restart(Restart(generation: 2, step: 3)), .evaluate(EvaluationLease(step: 3, segments: [0, 2])),
            .evaluated(EvaluationResult(step: 0, segments: [0, 2], lossBits: [5, 6])),
        ]
    }()

    private static func checkpointBytes() throws -> [UInt8] {
        let shape = ModelShape(vocabulary: 5, hidden: 2, layers: 1)
        let count = ParameterLayout(shape).count
        let checkpoint = Checkpoint(
            shape: shape, parameters: FloatBuffer(count: count),
            slots: [.init(name: "m", values: FloatBuffer(count: count))],
            carry: Array(repeating: 0, count: 4 * shape.carryCount), step: 3, epoch: 0, windowIndex: 3, seed: 7,
            shards: 2,
            configuration: String(decoding: configuration, as: UTF8.self),
            vocabulary: "{\"format\":1,\"characters\":\"abcde\"}", corpusSHA256: "ab", corpusCharacters: 900,
            validationLoss: 1.5, bestValidationLoss: 1.5)
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("seed-\(getpid())")
        defer { try? FileManager.default.removeItem(at: url) }
        try checkpoint.write(to: url)
        return Array(try Data(contentsOf: url))
    }
}
