import Coordination
import Corpus
import Foundation
import Kernels
import LanguageModel
import TestSupport

@testable import Checkpoints
@testable import Training

/// What decodes bytes that others wrote. Each is tried with any bytes: it may refuse them, and nothing else. What it
/// takes has to read back to the same.
enum Target: String, CaseIterable {
    case wire, lease, header, model, checkpoint, configuration, vocabulary, corpus, metrics

    func test(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .wire: Self.wire(Array(bytes))
        case .lease: Self.lease(bytes)
        case .header: Self.header(Array(bytes))
        case .model: Self.model(Array(bytes))
        case .checkpoint: Self.checkpoint(Array(bytes))
        case .configuration: Self.configuration(Array(bytes))
        case .vocabulary: Self.vocabulary(Array(bytes))
        case .corpus: Self.corpus(Array(bytes))
        case .metrics: Self.metrics(Array(bytes))
        }
    }

    /// A file that holds the bytes, in memory where the machine has such a folder.
    private static func file(_ bytes: [UInt8]) -> URL {
        let url = scratch
        let descriptor = open(url.path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
        precondition(descriptor >= 0 && Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
        return url
    }

    private static let scratch: URL = {
        let folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NSTemporaryDirectory()
        let url = URL(fileURLWithPath: "\(folder)/lockstep-fuzz-\(getpid())")
        atexit { unlink(Target.scratch.path) }
        return url
    }()

    private static func wire(_ bytes: [UInt8]) {
        guard let (message, envelope) = try? Wire.decode(bytes) else { return }
        guard let again = try? Wire.decode(Wire.encode(message, envelope)) else {
            preconditionFailure("a message that was decoded does not read back")
        }
        precondition(again.0 == message && again.1 == envelope)
        // It is then judged by machines that know nothing of the sender.
        var coordinator = CoordinatorMachine(
            .init(run: envelope.run, shards: 4, chunks: 2, snapshotParts: 1, totalSteps: 9, carryPeriod: 3))
        let hello = Hello(run: 0, name: "w", host: "h", process: 1, threads: 1, software: "s")
        var greeting = envelope
        (greeting.sequence, greeting.acknowledged) = (1, 0)
        _ = coordinator.received(.hello(hello), greeting, now: 1)
        coordinator.digested(step: 0, digest: 1)
        var joined = greeting
        joined.sequence = 2
        _ = coordinator.received(.applied(Applied(step: 0, digest: 1)), joined, now: 2)
        for sequence in 3...4 as ClosedRange<UInt64> {
            joined.sequence = sequence
            _ = coordinator.received(message, joined, digest: 3, isFinite: sequence == 3, now: sequence)
        }
        _ = coordinator.tick(now: 1_000_000_000)
    }

    private static let small: RunConfiguration = {
        guard let configuration = try? JSONDecoder().decode(RunConfiguration.self, from: Data(Seeds.configuration))
        else { preconditionFailure("the seed is a configuration") }
        return configuration
    }()

    private static func lease(_ bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first else { return }
        let payload = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
        let shards = Int(first & 15)
        let carried = Int(first >> 4)
        if let segments = try? SegmentPayload.decode(payload, segments: max(1, shards), configuration: small) {
            precondition(segments.joined().allSatisfy { $0 < UInt32(small.model.vocabulary) })
        }
        guard let contents = try? LeasePayload.decode(payload, shards: shards, carried: carried, configuration: small)
        else { return }
        precondition(contents.inputs.count == shards && contents.carries.count == carried)
        precondition(contents.inputs.joined().allSatisfy { $0 < UInt32(small.model.vocabulary) })
    }

    private static func header(_ bytes: [UInt8]) {
        // The first eight bytes are how much data there is.
        guard bytes.count >= 8 else { return }
        let count = bytes[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard count <= UInt64(Int.max),
            let header = try? SafetensorsHeader(parsing: Array(bytes[8...]), dataCount: Int(count))
        else { return }
        let again = try? SafetensorsHeader(parsing: Array(header.serialised().dropFirst(8)), dataCount: Int(count))
        precondition(again == header, "a header does not read back")
    }

    private static func model(_ bytes: [UInt8]) {
        guard let model = try? ModelFile.read(file(bytes)) else { return }
        precondition(model.parameters.count == ParameterLayout(model.shape).count)
        if let vocabulary = model.vocabulary { _ = try? Vocabulary(json: Array(vocabulary.utf8), name: "v") }
    }

    /// The seal is set right first: whoever damages a file by design can do so too.
    private static func checkpoint(_ bytes: [UInt8]) {
        guard let checkpoint = try? Checkpoint(contentsOf: file(sealed(bytes))) else { return }
        precondition(checkpoint.parameters.count == ParameterLayout(checkpoint.shape).count)
        _ = checkpoint.batch
        configuration(Array(checkpoint.configuration.utf8))
    }

    private static func configuration(_ bytes: [UInt8]) {
        guard let configuration = try? RunPreparation.configuration(at: file(bytes)) else { return }
        guard let encoded = try? JSONEncoder().encode(configuration),
            let again = try? JSONDecoder().decode(RunConfiguration.self, from: encoded)
        else { preconditionFailure("a configuration cannot be written") }
        precondition(again == configuration, "a configuration does not read back")
        // What a worker or a coordinator first works out from it.
        let chunks = ChunkLayout(floats: configuration.layout.count)
        precondition(chunks.count >= 1)
        _ = configuration.geometry
        for step in [0, 1, configuration.totalSteps / 2, configuration.totalSteps - 1] {
            _ = configuration.epoch(step: step)
            _ = configuration.window(step: step)
            let rate = configuration.schedule.learningRate(
                base: configuration.optimizer.learningRate, step: step, stepsPerEpoch: configuration.stepsPerEpoch,
                totalSteps: configuration.totalSteps)
            _ = Optimizer.scalars(
                configuration: configuration.optimizer, update: step + 1, learningRate: rate, clipCoefficient: 1)
        }
        var clock = UpkeepClock(configuration.upkeep, stepsPerEpoch: configuration.stepsPerEpoch, step: 0)
        _ = clock.committed(step: 1, isLast: false)
    }

    private static func vocabulary(_ bytes: [UInt8]) {
        guard let vocabulary = try? Vocabulary(json: bytes, name: "v") else { return }
        precondition((try? Vocabulary(json: vocabulary.json, name: "v")) == vocabulary, "it does not read back")
        let text = vocabulary.decode(0..<UInt32(vocabulary.count))
        precondition((try? vocabulary.encode(text)) == Array(0..<UInt32(vocabulary.count)))
    }

    private static func corpus(_ bytes: [UInt8]) {
        let text = String(validating: bytes, as: UTF8.self)
        guard let source = try? TextSource(bytes: bytes, name: "t"), let corpus = try? EncodedCorpus(source: source)
        else {
            precondition(text == nil || bytes.isEmpty, "a text is refused that is one")
            return
        }
        precondition(text?.unicodeScalars.elementsEqual(corpus.text(0..<corpus.count).unicodeScalars) == true)
    }

    private static func metrics(_ bytes: [UInt8]) {
        let url = file(bytes)
        _ = CurvePlot(MetricsCurve(contentsOf: url)).lines
        let digests = MetricsReader.digests(in: url, after: 2, upTo: 1 << 20)
        precondition(digests.count <= 1024 && digests.keys.allSatisfy { (3...1 << 20).contains($0) })
        // A coordinator that was started again looks for workers of these steps.
        var machine = CoordinatorMachine(
            .init(run: 1, shards: 4, chunks: 2, snapshotParts: 1, totalSteps: 1 << 20, carryPeriod: 3), step: 2,
            recovery: digests.isEmpty ? nil : Recovery(knownDigests: digests, checkpoint: 2))
        _ = machine.tick(now: 1)
        _ = machine.tick(now: 5_000_000_000)
        // Then the file is cut to the step that it goes on from.
        guard (try? MetricsWriter(url: url, resumingAt: 2)) != nil else { preconditionFailure("it cannot be cut") }
        precondition(MetricsReader.digests(in: url, after: 2, upTo: .max).isEmpty, "later steps stayed")
    }
}
