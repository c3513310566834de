import Foundation
import Synchronization
import Testing

@testable import Training

/// Shows what a terminal would: it knows line ends, returns, erasing and colours, and no other escape.
private struct Screen {
    private(set) var lines: [String] = [""]
    /// Escapes and characters that no screen is to be sent.
    private(set) var surprises = 0
    private(set) var longest = 0
    private var column = 0

    mutating func show(_ text: String) {
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\n":
                lines.append("")
                column = 0
            case "\r": column = 0
            case "\u{1B}":
                let sequence = rest.prefix { !("A"..."z" ~= $0) || $0 == "[" }
                rest = rest.dropFirst(sequence.count)
                switch rest.popFirst() {
                case "K": lines[lines.count - 1] = String(lines[lines.count - 1].prefix(column))
                case "m": break
                default: surprises += 1
                }
            default:
                var line = Array(lines[lines.count - 1])
                if column < line.count { line[column] = Character(scalar) } else { line.append(Character(scalar)) }
                lines[lines.count - 1] = String(line)
                column += 1
                longest = max(longest, column)
                if scalar.properties.generalCategory == .control { surprises += 1 }
            }
        }
    }
}

/// What was written, and the time, which only the test moves.
private final class Recording: Sendable {
    private let content = Mutex("")
    private let time = Mutex(100.0)
    /// Of the terminal; may change at any time.
    let columns = Mutex(80)

    var text: String { content.withLock { $0 } }
    var screen: Screen {
        var screen = Screen()
        screen.show(text)
        return screen
    }

    func wait(_ seconds: Double) { time.withLock { $0 += seconds } }

    func printer(
        isTerminal: Bool, usesColor: Bool = false, isQuiet: Bool = false
    ) -> ProgressPrinter {
        ProgressPrinter(
            output: ProgressOutput(
                isTerminal: isTerminal, usesColor: usesColor, columns: { self.columns.withLock { $0 } },
                write: { text in self.content.withLock { $0 += text } }, flush: {}),
            isQuiet: isQuiet, plainInterval: 5, clock: { self.time.withLock { $0 } })
    }
}

@Suite("Terminal progress")
struct TerminalProgressTests {
    static func snapshot(_ step: UInt64, of total: UInt64 = 20_000) -> ProgressSnapshot {
        ProgressSnapshot(
            step: step, totalSteps: total, epoch: 8, totalEpochs: 20, loss: 1.23449, validationLoss: 1.4012,
            bestValidationLoss: 1.399, entropyBound: 0.5185, charactersPerSecond: 41_230, remainingSeconds: 302.5,
            workers: 2)
    }

    @Test("With room for all, the line tells all")
    func wholeLine() {
        let expected =
            "37%  step 7,400/20,000  epoch 8/20  loss 1.2345  validation 1.4012  best 1.3990  bound 0.5185  "
            + "41.2k chars/s  left 5m 03s  2 workers"
        #expect(ProgressLine(Self.snapshot(7400)).text == expected)
        #expect(ProgressLine(Self.snapshot(7400), width: expected.count).text == expected)
    }

    @Test("Where there is room for it, a bar is drawn, full at the end")
    func bar() {
        #expect(ProgressLine(Self.snapshot(7400), width: 160).text.hasPrefix("[#####...........]  37%  step 7,400"))
        #expect(ProgressLine(Self.snapshot(0), width: 160).text.hasPrefix("[................]  0%"))
        #expect(ProgressLine(Self.snapshot(20_000), width: 160).text.hasPrefix("[################]  100%"))
        #expect(!ProgressLine(Self.snapshot(7400)).text.contains("["))
    }

    @Test("What is not known is left out")
    func unknownFields() {
        let snapshot = ProgressSnapshot(
            step: 1, totalSteps: 1, epoch: 1, totalEpochs: 1, loss: .nan, charactersPerSecond: 12, workers: 1)
        #expect(ProgressLine(snapshot).text == "100%  step 1/1  epoch 1/1  loss nan  12 chars/s  1 worker")
    }

    @Test("The line fits every width, and less room never shows more", arguments: [false, true])
    func widths(usesColor: Bool) {
        var previous = Int.max
        for width in stride(from: 160, through: 1, by: -1) {
            var screen = Screen()
            screen.show(ProgressLine(Self.snapshot(7400), width: width, usesColor: usesColor).text)
            #expect(screen.longest <= width)
            #expect(screen.longest <= previous)
            #expect(screen.longest > 0 && screen.surprises == 0)
            previous = screen.longest
        }
    }

    @Test("The least important fields go first, the step and the loss last")
    func priorities() {
        #expect(
            ProgressLine(Self.snapshot(7400), width: 80).text
                == "step 7,400/20,000  loss 1.2345  validation 1.4012  41.2k chars/s  left 5m 03s")
        #expect(ProgressLine(Self.snapshot(7400), width: 40).text == "step 7,400/20,000  loss 1.2345")
        #expect(ProgressLine(Self.snapshot(7400), width: 20).text == "step 7,400/20,000")
        #expect(ProgressLine(Self.snapshot(7400), width: 9).text == "step 7,40")
    }

    @Test("Colour changes no visible character")
    func color() {
        let line = ProgressLine(Self.snapshot(7400), usesColor: true).text
        #expect(line.contains("\u{1B}["))
        var screen = Screen()
        screen.show(line)
        #expect(screen.lines == [ProgressLine(Self.snapshot(7400)).text])
    }

    @Test(
        "Durations are short and rounded up",
        arguments: [
            (0, "0s"), (41.2, "42s"), (59.5, "1m 00s"), (302.5, "5m 03s"), (3599.5, "1h 00m"), (3725, "1h 02m"),
            (273_600, "3d 04h"), (.nan, "?"), (.infinity, "?"), (-1, "?"),
        ] as [(Double, String)])
    func durations(seconds: Double, expected: String) {
        #expect(ProgressLine.duration(seconds) == expected)
    }

    @Test(
        "Rates have three figures or so",
        arguments: [
            (0, "0"), (999.4, "999"), (999.6, "1.0k"), (41_230, "41.2k"), (999_949, "999.9k"), (999_950, "1.00M"),
            (1_254_000, "1.25M"), (.nan, "?"),
        ] as [(Double, String)])
    func rates(rate: Double, expected: String) {
        #expect(ProgressLine.rate(rate) == expected)
    }

    @Test(
        "Digits are grouped by three", arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")])
    func grouping(value: UInt64, expected: String) {
        #expect(ProgressLine.grouped(value) == expected)
    }

    @Test("On a terminal one line is drawn again in place, at most ten times a second")
    func redrawing() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: true)
        for step in 1...100 as ClosedRange<UInt64> {
            printer.update(Self.snapshot(step))
            recording.wait(0.01)
        }
        let draws = recording.text.filter { $0 == "\r" }.count
        #expect((8...12).contains(draws))
        #expect(recording.screen.lines.count == 1)
        printer.finish()
        #expect(recording.screen.lines.count == 2)
        #expect(recording.screen.lines[0].hasPrefix("step 100/20,000  "))
        #expect(recording.screen.lines[1].isEmpty)
        #expect(recording.screen.longest < 80)
    }

    @Test("A shorter line leaves nothing of a longer one")
    func erasing() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: true)
        printer.update(Self.snapshot(19_999))
        recording.wait(1)
        printer.update(Self.snapshot(1, of: 2))
        #expect(recording.screen.lines == [ProgressLine(Self.snapshot(1, of: 2), width: 79).text])
    }

    @Test("On a terminal that was made narrower, all rows of the broken line are drawn over, and no more")
    func narrowed() throws {
        let recording = Recording()
        let printer = recording.printer(isTerminal: true, usesColor: true)
        printer.update(Self.snapshot(19_999))
        let drawn = ProgressLine(Self.snapshot(19_999), width: 79).text.count
        // What is written next, in a terminal of so many columns.
        func written(_ columns: Int, _ act: () -> Void) -> String {
            let before = recording.text.count
            recording.columns.withLock { $0 = columns }
            recording.wait(1)
            act()
            return String(recording.text.dropFirst(before))
        }
        let two = written((drawn + 1) / 2) { printer.update(Self.snapshot(20_000)) }
        #expect(two.hasPrefix("\r\u{1B}[1A\u{1B}[J") && two.count { $0 == "\r" } == 1)
        #expect(written(80) { printer.update(Self.snapshot(19_999)) }.hasPrefix("\r\u{1B}[2mstep"))
        // As wide as the line is: it is not broken.
        #expect(written(drawn) { printer.update(Self.snapshot(19_999)) }.hasPrefix("\r\u{1B}[2mstep"))
        _ = written(80) { printer.update(Self.snapshot(19_999)) }
        let three = written((drawn + 2) / 3) { printer.event("lost w1") }
        #expect(three.hasPrefix("\r\u{1B}[2A\u{1B}[J\u{1B}[Klost w1\n\r\u{1B}[2mstep"))
    }

    @Test("An evaluation of the last step is on the last line, and adds none to a log")
    func amending() {
        for isTerminal in [true, false] {
            let recording = Recording()
            let printer = recording.printer(isTerminal: isTerminal)
            printer.amend { _ in Issue.record("there is nothing to correct yet") }
            printer.update(Self.snapshot(20_000))
            printer.amend { $0.validationLoss = 1.25 }
            printer.event("validation")
            printer.finish()
            let lines = recording.screen.lines
            #expect(lines.count == 3)
            #expect(lines[isTerminal ? 1 : 0].contains(isTerminal ? "validation 1.2500" : "validation 1.4012"))
        }
    }

    @Test("Events stand above the line, in order")
    func events() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: true)
        printer.event("before")
        printer.update(Self.snapshot(1))
        printer.event("a worker joined")
        recording.wait(1)
        printer.update(Self.snapshot(2))
        printer.event("two\nlines")
        let line = ProgressLine(Self.snapshot(2), width: 79).text
        #expect(recording.screen.lines == ["before", "a worker joined", "two", "lines", line])
        printer.finish()
        printer.event("after")
        #expect(recording.screen.lines == ["before", "a worker joined", "two", "lines", line, "after", ""])
    }

    @Test("Where there is no terminal, lines come first, at an interval, and last, without an escape")
    func plainLines() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: false)
        for step in 1...23 as ClosedRange<UInt64> {
            printer.update(Self.snapshot(step, of: 23))
            recording.wait(1)
        }
        printer.finish()
        let expected = [1, 6, 11, 16, 21, 23].map { ProgressLine(Self.snapshot($0, of: 23)).text + "\n" }
        #expect(recording.text == expected.joined())
    }

    @Test("A run that is cut off between two lines still prints its last state, once")
    func lastPlainLine() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: false)
        printer.update(Self.snapshot(1))
        printer.update(Self.snapshot(2))
        printer.finish()
        printer.finish()
        #expect(recording.text == [1, 2].map { ProgressLine(Self.snapshot($0)).text + "\n" }.joined())
    }

    @Test("A quiet run prints warnings alone", arguments: [true, false])
    func quiet(isTerminal: Bool) {
        let recording = Recording()
        let printer = recording.printer(isTerminal: isTerminal, isQuiet: true)
        printer.update(Self.snapshot(1))
        printer.event("nothing much")
        printer.event("the disk is full", isWarning: true)
        printer.update(Self.snapshot(20_000))
        printer.finish()
        #expect(recording.text == "the disk is full\n")
    }

    @Test("Control characters of an event cannot steer the terminal")
    func harmlessEvents() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: true)
        printer.event("name\u{1B}[2J\u{7}\u{9B}31m\r\n\tend")
        #expect(recording.text == "name\u{FFFD}[2J\u{FFFD}\u{FFFD}31m\u{FFFD}\n\tend\n")
    }

    @Test("Many threads at once tear no line")
    func threads() {
        let recording = Recording()
        let printer = recording.printer(isTerminal: true)
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for step in 1...50 as ClosedRange<UInt64> {
                recording.wait(0.05)
                printer.update(Self.snapshot(step))
                if step % 10 == 0 { printer.event("event of thread \(thread)") }
            }
        }
        printer.finish()
        let screen = recording.screen
        #expect(screen.lines.filter { $0.hasPrefix("event of thread ") && $0.count == 17 }.count == 40)
        #expect(screen.lines.count == 42)
        #expect(screen.lines.last == "")
    }

    @Test("A file is no terminal, and a closed reader is no error")
    func pipe() throws {
        let pipe = Pipe()
        let output = ProgressOutput.file(pipe.fileHandleForWriting.fileDescriptor, environment: ["COLUMNS": "33"])
        #expect(!output.isTerminal && !output.usesColor)
        #expect(output.columns() == 33)
        output.write("a line\n")
        #expect(pipe.fileHandleForReading.availableData == Data("a line\n".utf8))
        let closed = ProgressOutput.file(-1, environment: [:])
        closed.write("dropped")
        closed.flush()
        #expect(closed.columns() == 80)
    }

    @Test("A reader that has stopped holds nobody up, and what it missed is bounded")
    func stalledReader() throws {
        let pipe = Pipe()
        let writer = pipe.fileHandleForWriting
        let output = ProgressOutput.file(writer.fileDescriptor, environment: [:])
        // Many times what a pipe holds: without a queue the first lines would never return.
        let line = String(repeating: "x", count: 999) + "\n"
        for _ in 0..<3000 { output.write(line) }
        let received = Mutex(0)
        let isDone = DispatchSemaphore(value: 0)
        let reader = Thread {
            while case let data = pipe.fileHandleForReading.availableData, !data.isEmpty {
                received.withLock { $0 += data.count }
            }
            isDone.signal()
        }
        reader.start()
        output.flush()
        try writer.close()
        isDone.wait()
        // A thousand lines may wait, and a pipe holds some beside them.
        #expect((1_000_000...1_200_000).contains(received.withLock { $0 }))
    }

    @Test("Nothing, nonsense and zero in COLUMNS are passed over", arguments: ["", "wide", "0", "-5"])
    func columns(value: String) {
        #expect(ProgressOutput.file(-1, environment: ["COLUMNS": value]).columns() == 80)
    }

    @Test("A pseudo-terminal is drawn on in its own width, in colour unless NO_COLOR is set")
    func pseudoTerminal() throws {
        let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        try #require(terminal >= 0)
        defer { close(terminal) }
        var size = winsize()
        size.ws_row = 24
        size.ws_col = 57
        try #require(ioctl(terminal, UInt(TIOCSWINSZ), &size) == 0)
        let output = ProgressOutput.file(terminal, environment: ["TERM": "xterm"])
        #expect(output.isTerminal && output.usesColor)
        #expect(output.columns() == 57)
        size.ws_col = 99
        try #require(ioctl(terminal, UInt(TIOCSWINSZ), &size) == 0)
        #expect(output.columns() == 99)
        #expect(!ProgressOutput.file(terminal, environment: ["TERM": "xterm", "NO_COLOR": "1"]).usesColor)
        #expect(!ProgressOutput.file(terminal, environment: ["TERM": "dumb"]).isTerminal)
    }
}
