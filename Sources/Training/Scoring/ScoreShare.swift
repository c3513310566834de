import Foundation
import Glibc

/// A worker's part of the segments of a text, and the file that hands over what it found: two words that tell whether
/// both sides speak of the same, then Doubles: for each segment its sum, and before it its losses where they are wanted.
package struct ScoreShare: Sendable {
    /// From 0.
    package let index: Int
    package let count: Int

    package init(index: Int, count: Int) {
        precondition(index >= 0 && index < count)
        self.index = index
        self.count = count
    }

    /// Reads `index/count`.
    package init?(argument: String) {
        let numbers = argument.split(separator: "/").compactMap { Int($0) }
        guard numbers.count == 2, (1...256).contains(numbers[1]), (0..<numbers[1]).contains(numbers[0]) else {
            return nil
        }
        self.init(index: numbers[0], count: numbers[1])
    }

    package var argument: String { "\(index)/\(count)" }

    /// The segments of the share: the `count` shares are contiguous, in order, and as equal as can be.
    package func segments(of plan: ScoringPlan) -> Range<Int> {
        plan.segments * index / count..<plan.segments * (index + 1) / count
    }

    /// What tells two texts or models apart.
    package static func mark(plan: ScoringPlan, parametersDigest: UInt64) -> [UInt64] {
        [UInt64(plan.characters), parametersDigest]
    }

    /// Writes a share's file, segment by segment as they come.
    package struct Writer {
        private let file: FileHandle
        private let hasLosses: Bool

        /// - Parameter hasLosses: whether the losses are wanted, not only their sums.
        /// - Throws: ``ConfigurationError`` where the file cannot be made, or an error of Foundation's.
        package init(path: String, mark: [UInt64], hasLosses: Bool) throws {
            guard FileManager.default.createFile(atPath: path, contents: nil),
                let file = FileHandle(forWritingAtPath: path)
            else { throw ConfigurationError("\(path): cannot be written") }
            self.file = file
            self.hasLosses = hasLosses
            try file.write(contentsOf: mark.withUnsafeBytes { Data($0) })
        }

        /// Goes on by the losses of a segment, in nats.
        package func append(_ losses: [Double]) throws {
            let values = (hasLosses ? losses : []) + [losses.reduce(0, +)]
            try file.write(contentsOf: values.withUnsafeBytes { Data($0) })
        }
    }

    /// Reads a share's file back, segment by segment.
    ///
    /// - Returns: whether it was whole and of this text and model; `body` is not called where it is not.
    package func read(
        path: String, plan: ScoringPlan, mark: [UInt64], hasLosses: Bool,
        _ body: (_ losses: [Double], _ sum: Double) throws -> Void
    ) throws -> Bool {
        let segments = segments(of: plan)
        let counts = segments.map { (hasLosses ? plan.targets($0).count : 0) + 1 }
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe),
            data.count == (mark.count + counts.reduce(0, +)) * 8
        else { return false }
        let words = data.withUnsafeBytes { bytes in
            mark.indices.map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
        guard words == mark else { return false }
        var offset = mark.count * 8
        for count in counts {
            let values = data.withUnsafeBytes { bytes in
                (0..<count).map { bytes.loadUnaligned(fromByteOffset: offset + $0 * 8, as: Double.self) }
            }
            offset += count * 8
            try body(Array(values.dropLast()), values[count - 1])
        }
        return true
    }
}
