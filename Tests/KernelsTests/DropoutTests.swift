import CKernels
import Testing

@Suite("Dropout")
struct DropoutTests {
    static let sizes = [1, 7, 8, 9, 16, 17, 100, 127, 128, 129, 130, 300]

    @Test("A unit is kept where its 16 bits reach the threshold", arguments: KernelPath.each(sizes))
    func mask(path: KernelPath, hidden: Int) {
        let seed: UInt64 = 0x1234_5678_9abc_def0
        let (layer, time, row, step): (UInt32, UInt32, UInt32, UInt32) = (3, 17, 123, 4000)
        let threshold: UInt32 = 20000
        let scale: Float = 1.4
        var numbers = TestNumbers(seed: 4)
        let h = numbers.floats(hidden)
        var bits = [UInt8](repeating: 0xAA, count: (hidden + 7) / 8 + 2)
        let end = bits.count - 2
        let out = withMargins(hidden) {
            path.table.dropout_forward(
                hidden, seed, layer, time, row, step, threshold, scale, h, $0, path.table.panel_width, &bits)
        }
        let apart = Groups(of: hidden, width: path.table.panel_width)
        let spread = withMargins(apart.count) {
            path.table.dropout_forward(
                hidden, seed, layer, time, row, step, threshold, scale, apart.spread(h), $0, apart.group, &bits)
        }
        #expect(spread == apart.spread(out), "runs of units some floats apart, and nothing between them")
        #expect(bits[end...] == [0xAA, 0xAA])
        let back = withMargins(hidden) { dx in
            for unit in 0..<hidden { dx[unit] = h[unit] }
            path.table.dropout_backward(hidden, scale, bits, dx)
        }
        for unit in 0..<hidden {
            var words = [UInt32](repeating: 0, count: 4)
            path.table.philox(
                [UInt32(unit / 8) | layer << 16, time, row, step],
                [UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)], &words)
            let lane = words[unit % 8 / 2] >> (unit % 2 == 0 ? 0 : 16) & 0xFFFF
            let wanted = lane >= threshold ? h[unit] * scale : 0
            #expect(out[unit] == wanted && back[unit] == wanted)
        }
    }

    @Test("Philox4x32-10 gives the published values", arguments: KernelPath.all)
    func philox(path: KernelPath) {
        let cases: [([UInt32], [UInt32], [UInt32])] = [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ]
        for (counter, key, expected) in cases {
            var out = [UInt32](repeating: 0, count: 4)
            path.table.philox(counter, key, &out)
            #expect(out == expected)
        }
    }
}
