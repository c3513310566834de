import Testing

@testable import Training

@Suite("Complaints")
struct ComplaintsTests {
    @Test("A flood of refusals is told in few lines, which count the rest")
    func flood() {
        var complaints = Complaints()
        var lines: [String] = []
        for index in 0..<5000 as Range<UInt64> {
            // 1,000 a second.
            if let line = complaints.line("r\(index)", now: index * 1_000_000) { lines.append(line) }
        }
        #expect(lines.count == Complaints.burst + 4)
        #expect(lines[0] == "r0")
        #expect(lines.last == "r4000 (and 999 more refusals since the last one told)")
        #expect(
            complaints.line("later", now: 1_000_000_000_000) == "later (and 999 more refusals since the last one told)")
        #expect(complaints.line("again", now: 1_000_000_000_000) == "again")
    }
}
