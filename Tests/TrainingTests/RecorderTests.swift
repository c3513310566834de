import Checkpoints
import Foundation
import Glibc
import Kernels
import LanguageModel
import Synchronization
import Testing

@testable import Training

@Suite("What is written beside the training")
struct RecorderTests {
    /// A disk that stalls: a pipe whose writer waits until it is read.
    private final class StalledFile {
        let url: URL
        private let descriptor: Int32

        init(in folder: RunFolder) throws {
            url = folder.url.appendingPathComponent("stalled")
            try #require(mkfifo(url.path, 0o600) == 0)
            // A reader and a writer, so that neither end waits for another to open it.
            descriptor = open(url.path, O_RDWR | O_CLOEXEC)
            try #require(descriptor >= 0)
        }

        deinit { close(descriptor) }

        /// The steps of the next `count` lines.
        func steps(_ count: Int) throws -> [UInt64] {
            var text = Data()
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            var lines = 0
            while lines < count {
                let got = read(descriptor, &buffer, buffer.count)
                try #require(got > 0)
                lines += buffer[..<got].count { $0 == UInt8(ascii: "\n") }
                text.append(contentsOf: buffer[..<got])
            }
            return text.split(separator: UInt8(ascii: "\n")).compactMap { line in
                UInt64(String(decoding: line.dropFirst(8).prefix { $0 != UInt8(ascii: ",") }, as: UTF8.self))
            }
        }
    }

    private struct Weak {
        weak var buffer: FloatBuffer?
    }

    /// What a checkpoint of step 0 is refused for, once `change` has been made to it.
    private func complaint(_ job: TrainingJob, _ change: (inout Checkpoint, inout RunConfiguration) -> Void) throws
        -> String?
    {
        let slots = job.configuration.optimizer.slotNames.map { _ in FloatBuffer(count: job.configuration.layout.count)
        }
        let state = CheckpointState(
            step: 0, parameters: job.replica.parameters, slots: slots, carry: job.carries.committed)
        var checkpoint = try CheckpointMapping.checkpoint(
            state, configuration: job.configuration, vocabulary: job.vocabulary, validationLoss: nil, best: nil)
        var configuration = job.configuration
        change(&checkpoint, &configuration)
        checkpoint.configuration = String(decoding: try JSONEncoder().encode(configuration), as: UTF8.self)
        let url = job.folder.url.appendingPathComponent("changed.safetensors")
        try checkpoint.write(to: url)
        let source = try ModelSource(path: url.path) { Issue.record("\($0)") }
        do {
            #expect(try source.configuration() == configuration)
            return nil
        } catch let error as ConfigurationError {
            #expect(error.description.hasPrefix("\(url.path): "))
            return error.description
        }
    }

    @Test("A checkpoint whose configuration or place in the run cannot be is refused")
    func impossibleConfiguration() throws {
        try withNewRun(hidden: 4, optimizer: .sgd) { (job) throws in
            #expect(try complaint(job) { _, _ in } == nil)
            for steps in [0, UInt64.max] {
                #expect(try complaint(job) { $1.stepsPerEpoch = steps }?.contains("not \(steps)") == true)
            }
            #expect(try complaint(job) { $1.totalSteps = .max }?.contains("--steps") == true)
            #expect(try complaint(job) { $1.corpus.characters = -1 }?.contains("not -1") == true)
            #expect(try complaint(job) { $1.window = 0 }?.contains("--window") == true)
            #expect(try complaint(job) { checkpoint, _ in checkpoint.epoch = .max }?.contains("epoch") == true)
        }
    }

    private func state(_ step: UInt64, of job: TrainingJob) -> CheckpointState {
        CheckpointState(
            step: step, parameters: FloatBuffer(count: job.replica.parameters.count), slots: [],
            carry: job.carries.committed)
    }

    @Test("While the disk stalls only the newest best state and the newest checkpoint wait; no line is lost")
    func stalled() throws {
        try withNewRun(hidden: 4, optimizer: .sgd) { job in
            let file = try StalledFile(in: job.folder)
            let store = CheckpointStore(folder: job.folder.checkpoints)
            let recorder = Recorder(
                job: job, store: store, metrics: try MetricsWriter(url: file.url, resumingAt: nil), events: nil
            ) { _ in }
            let count = 2000
            var states: [Weak] = []
            for step in 1...UInt64(count) {
                // Better and better, but for the last ten.
                let loss = step <= 1990 ? 9 - Double(step) / 1000 : 9
                let evaluated = state(step, of: job)
                states.append(Weak(buffer: evaluated.parameters))
                recorder.post(.step(.example(step), evaluation: (loss, evaluated)))
                if step.isMultiple(of: 3) {
                    let kept = state(step, of: job)
                    states.append(Weak(buffer: kept.parameters))
                    recorder.post(.checkpoint(kept))
                }
            }
            // As many again are being written.
            #expect(states.count { $0.buffer != nil } <= 4)
            #expect(try file.steps(count) == Array(1...UInt64(count)))
            recorder.finish(hurried: false)
            #expect(states.allSatisfy { $0.buffer == nil })
            #expect(store.list().map(\.step).contains(1998))
            let best = try #require(store.bestVerified { Issue.record("\($0)") }?.checkpoint)
            #expect(best.step == 1990 && best.validationLoss == 9 - 1.99)
            let newest = try #require(store.newestVerified { Issue.record("\($0)") }?.checkpoint)
            #expect(newest.validationLoss == 9 && newest.bestValidationLoss == 9 - 1.99)
        }
    }

    @Test("When more lines wait for the disk than fit in memory the run is told to end, and none is lost")
    func overdue() throws {
        try withNewRun(hidden: 4, optimizer: .sgd) { job in
            let file = try StalledFile(in: job.folder)
            let overdue = Mutex<[Int]>([])
            let recorder = Recorder(
                job: job, store: CheckpointStore(folder: job.folder.checkpoints),
                metrics: try MetricsWriter(url: file.url, resumingAt: nil), events: nil
            ) { report in
                if case .metricsOverdue(let lines) = report { overdue.withLock { $0.append(lines) } }
            }
            // Lines that the pipe took, some 300, do not wait.
            let count = Recorder.maximumBacklog + 2000
            for step in 1...UInt64(count) { recorder.post(.step(.example(step), evaluation: nil)) }
            #expect(overdue.withLock { $0 } == [Recorder.maximumBacklog])
            #expect(try file.steps(count) == Array(1...UInt64(count)))
            recorder.finish(hurried: false)
        }
    }

    @Test("No checkpoint is written before the lines up to its step are")
    func linesFirst() throws {
        try withNewRun(hidden: 4, optimizer: .sgd) { job in
            let store = CheckpointStore(folder: job.folder.checkpoints)
            let reports = Mutex<[String]>([])
            let full = try MetricsWriter(url: URL(fileURLWithPath: "/dev/full"), resumingAt: nil)
            let recorder = Recorder(job: job, store: store, metrics: full, events: nil) { report in
                reports.withLock { $0.append("\(report)") }
            }
            recorder.post(.step(.example(1), evaluation: nil))
            recorder.post(.checkpoint(state(1, of: job)))
            recorder.finish(hurried: false)
            #expect(store.list().isEmpty)
            let said = reports.withLock { $0 }
            #expect(said.count == 3)
            #expect(said.contains { $0.contains("No space left") })
            #expect(said.contains { $0.contains("checkpointFailed") && $0.contains("cannot write the metrics") })
            #expect(said.contains { $0 == "metricsLost(lines: 1)" })
        }
    }
}
