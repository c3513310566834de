import Checkpoints
import Coordination
import Foundation
import Synchronization

/// Writes a run's steps as a file of the Chrome trace-event format, which Perfetto and `chrome://tracing` open.
///
/// One process for the coordinator, with its steps, and one for each worker, with the phases of its steps and, below
/// these, what each of its compute threads was at; arrows lead from a step's beginning to the forward pass that its lease
/// started, from the last gradient to the commit, and from the commit to the update. Workers' times are laid out on the
/// coordinator's clock as ``RunSnapshot/Step/Work`` says.
///
/// The threads of a run leave what happened in a list; a queue of its own writes it once a second. The file is whole JSON
/// after ``finish()``; viewers read it before, too.
package final class TraceWriter: Sendable {
    /// Events that a file holds at most, some 300 MB: viewers take no more.
    private static let limit = 2_000_000
    /// What waits for the disk at most; more is left out.
    private static let maximumWaiting = 1 << 16
    private static let interval = 1.0

    private enum Entry {
        case step(UInt64, loss: Double, began: Int64, committed: Int64)
        case work(RunSnapshot.Step.Work, threads: [[ThreadSpan]], ended: Int64, step: UInt64)
        case event(String, at: Int64)
    }

    private struct Waiting {
        var entries: [Entry] = []
        var isScheduled = false
        var isTooLong = false
    }

    /// A row of slices. Thread 1 has the steps of its process, and `n + 2` is compute thread `n`.
    private struct Track: Hashable {
        var process: Int
        var thread = 1
        static let coordinator = Track(process: 1)
    }

    /// Times are nanoseconds of the file's clock.
    private struct File {
        var descriptor: Int32
        var text = JSONText(capacity: 1 << 16)
        var count = 0
        var processes: [String: Int] = [:]
        /// Where the last slice of a track ended: the next begins there or later, as the format asks for.
        var ends: [Track: Int64] = [:]
        /// When recent steps began and were committed.
        var steps: [UInt64: (began: Int64, committed: Int64)] = [:]
        var flow = 0
        var hasFailed = false
    }

    private let queue = DispatchQueue(label: "trace")
    private let waiting = Mutex(Waiting())
    private let file: Mutex<File>
    private let path: String
    private let started: Double
    private let onFailure: @Sendable (String) -> Void

    /// - Parameters:
    ///   - started: the zero of the file's clock, in seconds since 1970.
    ///   - onFailure: told why steps are missing from the file. Called on the threads of the run too, so it must not
    ///     wait.
    /// - Throws: ``ConfigurationError`` where the file cannot be made.
    package init(
        path: String, started: Double = Date().timeIntervalSince1970, onFailure: @escaping @Sendable (String) -> Void
    ) throws {
        let descriptor = OutputFile.open(path, O_TRUNC)
        guard descriptor >= 0 else {
            throw ConfigurationError("--trace \(path) cannot be written: \(OutputFile.reason(errno))")
        }
        self.path = path
        self.started = started
        self.onFailure = onFailure
        file = Mutex(File(descriptor: descriptor))
        file.withLock { file in
            write(Array("[".utf8), &file)
            process(&file, 1, "coordinator")
        }
    }

    deinit { file.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

    // MARK: From the run's threads

    func committed(_ record: StepRecord, at time: Double) {
        let end = nanoseconds(time)
        post(
            .step(record.step, loss: record.loss, began: end - Int64(record.stepSeconds * 1e9), committed: end))
    }

    /// - Parameters:
    ///   - threads: of its compute threads.
    ///   - time: when its answer came.
    func worked(_ work: RunSnapshot.Step.Work, threads: [[ThreadSpan]], ended time: Double, step: UInt64) {
        post(.work(work, threads: threads, ended: nanoseconds(time), step: step))
    }

    func event(_ text: String, at time: Double) { post(.event(String(text.prefix(200)), at: nanoseconds(time))) }

    private func post(_ entry: Entry) {
        waiting.withLock { waiting in
            guard waiting.entries.count < Self.maximumWaiting else {
                if !waiting.isTooLong { onFailure("\(path): the disk is too slow for the trace; a part is left out") }
                waiting.isTooLong = true
                return
            }
            waiting.entries.append(entry)
            guard !waiting.isScheduled else { return }
            waiting.isScheduled = true
            queue.asyncAfter(deadline: .now() + Self.interval) { [self] in file.withLock { writeWaiting(&$0) } }
        }
    }

    /// Completes the file; one whose disk stands still is left as it is, and that is told.
    package func finish(seconds: Double = 10) {
        let isComplete = queue.finish(within: seconds) { [self] in
            file.withLock { file in
                guard file.descriptor >= 0 else { return }
                writeWaiting(&file)
                write(Array("\n]\n".utf8), &file)
                close(file.descriptor)
                file.descriptor = -1
            }
        }
        if !isComplete {
            onFailure("\(path): the disk has not taken the end of the trace in \(seconds) s: it is lost")
        }
    }

    // MARK: Events of the format

    private func writeWaiting(_ file: inout File) {
        let entries = waiting.withLock { waiting in
            defer {
                waiting.entries.removeAll(keepingCapacity: true)
                waiting.isScheduled = false
            }
            return waiting.entries
        }
        for entry in entries {
            switch entry {
            case .step(let step, let loss, let began, let committed):
                let from = max(began, file.ends[.coordinator] ?? .min)
                file.steps[step] = (from, committed)
                file.steps[step &- 16] = nil
                slice(&file, "step \(step)", .coordinator, from, committed) { $0.put(loss, "loss") }
            case .work(let work, let threads, let ended, let step):
                guard file.steps[step] != nil else { continue }
                let process = process(of: work.worker, &file)
                let free = file.ends[Track(process: process)] ?? .min
                self.work(&file, work, process, free: free, step)
                self.threads(&file, threads, process, free: free, ended: ended, step)
            case .event(let text, let time):
                add(&file) { event in
                    event.put(text, "name")
                    Self.place(&event, "i", .coordinator, time)
                    event.put("g", "s")
                }
            }
        }
        write(file.text.take(), &file)
    }

    /// - Parameter free: where the worker's step before ended. Steps are laid out after the moment at which their answer
    ///   came, which the network moves a little: one may seem to begin before that, and its first phases are cut there.
    private func work(
        _ file: inout File, _ work: RunSnapshot.Step.Work, _ process: Int, free: Int64, _ step: UInt64
    ) {
        let interval = file.steps[step]!
        let track = Track(process: process)
        var time = nanoseconds(work.began)
        var spans: [(from: Int64, to: Int64)] = []
        for (name, seconds) in zip(RunCounters.phases, work.phases) {
            let from = max(time, free)
            time += Int64(seconds * 1e9)
            spans.append((from, max(time, from)))
            if time > from { slice(&file, name, track, from, time) { $0.put(step, "step") } }
        }
        // In the order of the phases: 1 forward, 2 backward, 5 update. A viewer ties an end of an arrow to the slice that it
        // lies in, so each lies a nanosecond within its own. By the clocks of some steps an arrow would lead back in time by
        // a millisecond or so: its ends move within their slices then, and where that does not help it is left out.
        let (forward, backward, update) = (spans[1], spans[2], spans[5])
        let leased = interval.began + 1
        arrow(&file, "lease", (.coordinator, interval, leased), (track, forward, max(forward.from + 1, leased)))
        let computed = min(backward.to, interval.committed) - 1
        arrow(&file, "gradient", (track, backward, computed), (.coordinator, interval, interval.committed - 1))
        let sent = min(interval.committed - 1, update.from + 1)
        arrow(&file, "commit", (.coordinator, interval, sent), (track, update, update.from + 1))
    }

    private func threads(
        _ file: inout File, _ threads: [[ThreadSpan]], _ process: Int, free: Int64, ended: Int64, _ step: UInt64
    ) {
        for (index, spans) in threads.enumerated() {
            let track = Track(process: process, thread: index + 2)
            if !spans.isEmpty, file.ends[track] == nil { thread(&file, track, "compute \(index)") }
            for span in spans {
                let from = max(ended - Int64(span.beforeEnd) * 1000, free, file.ends[track] ?? .min)
                let to = ended - Int64(span.beforeEnd - span.length) * 1000
                if to > from { slice(&file, span.phase.name, track, from, to) { $0.put(step, "step") } }
            }
        }
    }

    private func nanoseconds(_ time: Double) -> Int64 { Int64(((time - started) * 1e9).rounded()) }

    private func process(of worker: String, _ file: inout File) -> Int {
        if let known = file.processes[worker] { return known }
        let number = file.processes.count + 2
        file.processes[worker] = number
        process(&file, number, worker)
        return number
    }

    private func process(_ file: inout File, _ number: Int, _ name: String) {
        let track = Track(process: number)
        metadata(&file, "process_name", track) { $0.put(name, "name") }
        metadata(&file, "process_sort_index", track) { $0.put(number, "sort_index") }
        thread(&file, track, "steps")
    }

    private func thread(_ file: inout File, _ track: Track, _ name: String) {
        metadata(&file, "thread_name", track) { $0.put(name, "name") }
        metadata(&file, "thread_sort_index", track) { $0.put(track.thread, "sort_index") }
    }

    private func metadata(_ file: inout File, _ kind: String, _ track: Track, _ value: (inout JSONText) -> Void) {
        add(&file) { event in
            event.put(kind, "name")
            Self.place(&event, "M", track, nil)
            event.object("args", value)
        }
    }

    private func slice(
        _ file: inout File, _ name: String, _ track: Track, _ from: Int64, _ to: Int64,
        _ arguments: (inout JSONText) -> Void
    ) {
        file.ends[track] = max(from, to)
        add(&file) { event in
            event.put(name, "name")
            Self.place(&event, "X", track, from)
            event.put(thousandths: max(0, to - from), "dur")
            event.object("args", arguments)
        }
    }

    private typealias End = (track: Track, slice: (Int64, Int64), time: Int64)

    private func arrow(_ file: inout File, _ name: String, _ source: End, _ target: End) {
        guard source.time <= target.time,
            [source, target].allSatisfy({ $0.slice.0 < $0.time && $0.time < $0.slice.1 })
        else { return }
        file.flow += 1
        let flow = file.flow
        for (phase, end) in [("s", source), ("f", target)] {
            add(&file) { event in
                event.put(name, "name")
                event.put("message", "cat")
                event.put(flow, "id")
                Self.place(&event, phase, end.track, end.time)
                if phase == "f" { event.put("e", "bp") }
            }
        }
    }

    /// Kind, process, thread, and the time in microseconds.
    private static func place(_ event: inout JSONText, _ kind: String, _ track: Track, _ time: Int64?) {
        event.put(kind, "ph")
        event.put(track.process, "pid")
        event.put(track.thread, "tid")
        if let time { event.put(thousandths: time, "ts") }
    }

    // MARK: The file

    private func add(_ file: inout File, _ event: (inout JSONText) -> Void) {
        guard file.descriptor >= 0, file.count < Self.limit else { return }
        file.count += 1
        if file.count == Self.limit { onFailure("\(path): the trace is full; later steps are not in it") }
        file.text.endLine()
        file.text.object(nil, event)
    }

    private func write(_ bytes: [UInt8], _ file: inout File) {
        guard !file.hasFailed else { return }
        let code = writeWhole(bytes, to: file.descriptor)
        guard code != 0 else { return }
        file.hasFailed = true
        onFailure("\(path): cannot write the trace: \(String(cString: strerror(code)))")
    }
}

extension ThreadSpan.Phase {
    /// As the phases of a step are named.
    fileprivate var name: String {
        switch self {
        case .pack: "pack"
        case .forward: "forward"
        case .backward: "backward"
        case .weightGradients: "weight_gradients"
        case .update: "update"
        }
    }
}
