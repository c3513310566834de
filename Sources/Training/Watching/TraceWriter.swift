import Coordination
import Foundation
import Synchronization

/// Writes a run's steps as a file of the Chrome trace-event format, which Perfetto and `chrome://tracing` open.
///
/// One process for the coordinator, with its steps, and one for each worker, with its phases; arrows lead from a step's
/// beginning to the forward pass that its lease started, from the last gradient to the commit, and from the commit to
/// the update. Workers' times are laid out on the coordinator's clock as ``RunSnapshot/Step/Work`` says.
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
        case work(RunSnapshot.Step.Work, step: UInt64)
        case event(String, at: Int64)
    }

    private struct Waiting {
        var entries: [Entry] = []
        var isScheduled = false
        var isTooLong = false
    }

    /// Times are nanoseconds of the file's clock.
    private struct File {
        var descriptor: Int32
        var text = JSONText(capacity: 1 << 16)
        var count = 0
        var processes: [String: Int] = [:]
        /// Where the last slice of a process ended: the next begins there or later, as the format asks for.
        var ends: [Int: Int64] = [:]
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
    ///   - onFailure: told once, where the file cannot be written any more.
    /// - Throws: ``ConfigurationError`` where the file cannot be made.
    package init(
        path: String, started: Double = Date().timeIntervalSince1970, onFailure: @escaping @Sendable (String) -> Void
    ) throws {
        let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw ConfigurationError("--trace \(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        self.path = path
        self.started = started
        self.onFailure = onFailure
        file = Mutex(File(descriptor: descriptor))
        file.withLock { file in
            write(Array("[".utf8), &file)
            process(&file, 1, "coordinator", thread: "steps")
        }
    }

    deinit { file.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

    // MARK: From the run's threads

    func committed(_ record: StepRecord, at time: Double) {
        let end = nanoseconds(time)
        post(
            .step(record.step, loss: record.loss, began: end - Int64(record.stepSeconds * 1e9), committed: end))
    }

    func worked(_ work: RunSnapshot.Step.Work, step: UInt64) { post(.work(work, step: step)) }

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

    /// Completes the file.
    package func finish() {
        queue.sync {
            file.withLock { file in
                guard file.descriptor >= 0 else { return }
                writeWaiting(&file)
                write(Array("\n]\n".utf8), &file)
                close(file.descriptor)
                file.descriptor = -1
            }
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
                let from = max(began, file.ends[1] ?? .min)
                file.steps[step] = (from, committed)
                file.steps[step &- 16] = nil
                slice(&file, "step \(step)", 1, from, committed) { $0.put(loss, "loss") }
            case .work(let work, let step): self.work(&file, work, step)
            case .event(let text, let time):
                add(&file) { event in
                    event.put(text, "name")
                    Self.place(&event, "i", 1, time)
                    event.put("g", "s")
                }
            }
        }
        write(file.text.take(), &file)
    }

    private func work(_ file: inout File, _ work: RunSnapshot.Step.Work, _ step: UInt64) {
        guard let interval = file.steps[step] else { return }
        let process = self.process(of: work.worker, &file)
        // Laid out after the moment at which the answer came, which the network moves a little: a step may seem to begin
        // before the end of the one before, and its first phases are cut there.
        let free = file.ends[process] ?? .min
        var time = nanoseconds(work.began)
        var spans: [(from: Int64, to: Int64)] = []
        for (name, seconds) in zip(RunCounters.phases, work.phases) {
            let from = max(time, free)
            time += Int64(seconds * 1e9)
            spans.append((from, max(time, from)))
            if time > from { slice(&file, name, process, from, time) { $0.put(step, "step") } }
        }
        // In the order of the phases: 1 forward, 2 backward, 5 update. A viewer ties an end of an arrow to the slice that it
        // lies in, so each lies a nanosecond within its own. By the clocks of some steps an arrow would lead back in time by
        // a millisecond or so: its ends move within their slices then, and where that does not help it is left out.
        let (forward, backward, update) = (spans[1], spans[2], spans[5])
        let leased = interval.began + 1
        arrow(&file, "lease", (1, interval, leased), (process, forward, max(forward.from + 1, leased)))
        let computed = min(backward.to, interval.committed) - 1
        arrow(&file, "gradient", (process, backward, computed), (1, interval, interval.committed - 1))
        let sent = min(interval.committed - 1, update.from + 1)
        arrow(&file, "commit", (1, interval, sent), (process, update, update.from + 1))
    }

    private func nanoseconds(_ time: Double) -> Int64 { Int64(((time - started) * 1e9).rounded()) }

    private func process(of worker: String, _ file: inout File) -> Int {
        if let known = file.processes[worker] { return known }
        let number = file.processes.count + 2
        file.processes[worker] = number
        process(&file, number, worker, thread: "compute")
        return number
    }

    private func process(_ file: inout File, _ number: Int, _ name: String, thread: String) {
        func metadata(_ kind: String, _ value: (inout JSONText) -> Void) {
            add(&file) { event in
                event.put(kind, "name")
                Self.place(&event, "M", number, nil)
                event.object("args", value)
            }
        }
        metadata("process_name") { $0.put(name, "name") }
        metadata("process_sort_index") { $0.put(number, "sort_index") }
        metadata("thread_name") { $0.put(thread, "name") }
    }

    private func slice(
        _ file: inout File, _ name: String, _ process: Int, _ from: Int64, _ to: Int64,
        _ arguments: (inout JSONText) -> Void
    ) {
        file.ends[process] = max(from, to)
        add(&file) { event in
            event.put(name, "name")
            Self.place(&event, "X", process, from)
            event.put(thousandths: max(0, to - from), "dur")
            event.object("args", arguments)
        }
    }

    private typealias End = (process: Int, slice: (Int64, Int64), time: Int64)

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
                Self.place(&event, phase, end.process, end.time)
                if phase == "f" { event.put("e", "bp") }
            }
        }
    }

    /// Kind, process, thread, and the time in microseconds.
    private static func place(_ event: inout JSONText, _ kind: String, _ process: Int, _ time: Int64?) {
        event.put(kind, "ph")
        event.put(process, "pid")
        event.put(1, "tid")
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
        var rest = bytes[...]
        while !rest.isEmpty, !file.hasFailed {
            let count = rest.withUnsafeBytes { Foundation.write(file.descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                file.hasFailed = true
                onFailure("\(path): cannot write the trace: \(String(cString: strerror(errno)))")
            }
        }
    }
}
