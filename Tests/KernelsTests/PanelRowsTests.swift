import Kernels
import Testing

@Suite("Rows in panels")
struct PanelRowsTests {
    @Test(
        "What is stored is loaded, and no row reaches into another", arguments: [1, 31, 32, 64], [1, 16, 32, 33, 128])
    func rows(rows: Int, columns: Int) {
        let (timeSteps, panels) = (5, PanelRows(rows: rows, timeSteps: 5, columns: columns))
        func value(_ row: Int, _ time: Int, _ column: Int) -> Float {
            Float((time * rows + row) * columns + column)
        }
        for time in 0..<timeSteps {
            for row in 0..<rows {
                panels.store((0..<columns).map { value(row, time, $0) }, row: row, time: time)
            }
        }
        for time in 0..<timeSteps {
            for row in 0..<rows {
                var loaded = [Float](repeating: .nan, count: columns)
                panels.load(row: row, time: time, into: &loaded)
                #expect(loaded == (0..<columns).map { value(row, time, $0) })
            }
        }
    }
}
