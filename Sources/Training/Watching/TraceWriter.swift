import Coordination
import Foundation
import Synchronization

/// Writes a run's steps as a file of the Chrome trace-event format, which Perfetto and `chrome://tracing` open.
///
/// One process for the coordinator, with its steps, and one for each worker, with its phases; arrows lead from a step's
/// beginning to the forward pass that its lease started, from the last gradient to the commit, and from the commit to
/// the update. Workers' times are laid out on the coordinator's clock as ``RunSnapshot/Step/Work`` says.
///
/// Written from a queue of its own. The file is whole JSON after ``finish()``; viewers read it before, too.
package final class TraceWriter: Sendable {
    /// Events that a file holds at most, some 300 MB: viewers take no more.
    private static let limit = 2_000_000

    private struct State {
        var descriptor: Int32
        var isFirst = true
        var count = 0
        var processes: [String: Int] = [:]
        /// When recent steps began and were committed, in microseconds.
        var steps: [UInt64: (began: Double, committed: Double)] = [:]
        var flow = 0
        var buffer = ""
        var hasFailed = false
    }

    private let queue = DispatchQueue(label: "trace")
    private let state: Mutex<State>
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
        state = Mutex(State(descriptor: descriptor, buffer: "[\n"))
        queue.async { [self] in
            state.withLock { state in
                process(&state, 1, "coordinator")
                add(&state, #"{"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"steps"}}"#)
            }
        }
    }

    deinit { state.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

    func committed(_ record: StepRecord, at time: Double) {
        queue.async { [self] in
            state.withLock { state in
                let end = microseconds(time)
                let began = end - record.stepSeconds * 1e6
                state.steps[record.step] = (began, end)
                state.steps[record.step &- 16] = nil
                slice(&state, "step \(record.step)", 1, began, end, #","args":{"loss":\#(record.loss)}"#)
                flushIfLarge(&state)
            }
        }
    }

    func worked(_ work: RunSnapshot.Step.Work, step: UInt64) {
        queue.async { [self] in
            state.withLock { state in
                guard let interval = state.steps[step] else { return }
                let process = self.process(of: work.worker, &state)
                var time = microseconds(work.began)
                var begins: [Double] = []
                for (name, seconds) in zip(RunCounters.phases, work.phases) {
                    begins.append(time)
                    if seconds > 0 {
                        slice(&state, name, process, time, time + seconds * 1e6, #","args":{"step":\#(step)}"#)
                    }
                    time += seconds * 1e6
                }
                // In the order of the phases: 1 forward, 3 sending, 5 update. The clocks agree to some milliseconds, and a
                // viewer drops an arrow whose end lies in no slice: an end that comes too early or late moves within its own.
                if work.forward > 0 {
                    arrow(&state, "lease", 1, interval.began, process, max(interval.began, begins[1]))
                    arrow(&state, "gradient", process, min(begins[3], interval.committed), 1, interval.committed)
                }
                if work.update > 0 {
                    arrow(&state, "commit", 1, min(interval.committed, begins[5]), process, begins[5])
                }
            }
        }
    }

    func event(_ text: String, at time: Double) {
        queue.async { [self] in
            state.withLock { state in
                let name = Self.quoted(String(text.prefix(200)))
                add(&state, #"{"name":\#(name),"ph":"i","s":"g","pid":1,"tid":1,"ts":\#(number(microseconds(time)))}"#)
            }
        }
    }

    /// Completes the file.
    package func finish() {
        queue.sync {
            state.withLock { state in
                guard state.descriptor >= 0 else { return }
                state.buffer += "\n]\n"
                flush(&state)
                close(state.descriptor)
                state.descriptor = -1
            }
        }
    }

    // MARK: Events of the format

    private func microseconds(_ time: Double) -> Double { (time - started) * 1e6 }

    /// Three decimals. `String(format:)` takes several times as long, and a step of one worker has thirty of these.
    private func number(_ value: Double) -> String {
        let thousandths = Int64((value * 1000).rounded())
        let (whole, part) = thousandths.magnitude.quotientAndRemainder(dividingBy: 1000)
        let digits = "\(part)"
        let zeros = String(repeating: "0", count: 3 - digits.utf8.count)
        return (thousandths < 0 ? "-" : "") + "\(whole).\(zeros)\(digits)"
    }

    private func process(of worker: String, _ state: inout State) -> Int {
        if let known = state.processes[worker] { return known }
        let number = state.processes.count + 2
        state.processes[worker] = number
        process(&state, number, worker)
        return number
    }

    private func process(_ state: inout State, _ number: Int, _ name: String) {
        let name = Self.quoted(name)
        add(&state, #"{"name":"process_name","ph":"M","pid":\#(number),"tid":1,"args":{"name":\#(name)}}"#)
        add(
            &state, #"{"name":"process_sort_index","ph":"M","pid":\#(number),"tid":1,"args":{"sort_index":\#(number)}}"#
        )
    }

    private func slice(
        _ state: inout State, _ name: String, _ process: Int, _ from: Double, _ to: Double, _ more: String = ""
    ) {
        let times = #""ts":\#(number(from)),"dur":\#(number(max(0, to - from)))"#
        add(&state, #"{"name":"\#(name)","ph":"X","pid":\#(process),"tid":1,\#(times)\#(more)}"#)
    }

    private func arrow(
        _ state: inout State, _ name: String, _ source: Int, _ from: Double, _ target: Int, _ to: Double
    ) {
        state.flow += 1
        let start = #""name":"\#(name)","cat":"message","id":\#(state.flow)"#
        add(&state, #"{\#(start),"ph":"s","pid":\#(source),"tid":1,"ts":\#(number(from))}"#)
        add(&state, #"{\#(start),"ph":"f","bp":"e","pid":\#(target),"tid":1,"ts":\#(number(to))}"#)
    }

    private static func quoted(_ text: String) -> String {
        String(decoding: (try? JSONEncoder().encode(text)) ?? Data(#""?""#.utf8), as: UTF8.self)
    }

    // MARK: The file

    private func add(_ state: inout State, _ event: String) {
        guard state.descriptor >= 0, state.count < Self.limit else { return }
        state.count += 1
        if state.count == Self.limit { onFailure("\(path): the trace is full; later steps are not in it") }
        state.buffer += (state.isFirst ? "" : ",\n") + event
        state.isFirst = false
    }

    private func flushIfLarge(_ state: inout State) {
        if state.buffer.utf8.count > 1 << 16 { flush(&state) }
    }

    private func flush(_ state: inout State) {
        var rest = Array(state.buffer.utf8)[...]
        state.buffer = ""
        while !rest.isEmpty, !state.hasFailed {
            let count = rest.withUnsafeBytes { write(state.descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                state.hasFailed = true
                onFailure("\(path): cannot write the trace: \(String(cString: strerror(errno)))")
            }
        }
    }
}
