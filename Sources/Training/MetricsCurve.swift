package import Foundation

/// The losses of a run as `metrics.jsonl` has them.
package struct MetricsCurve: Sendable, Equatable {
    package struct Point: Sendable, Equatable {
        package var step: UInt64
        /// Nats a character.
        package var loss: Double
        package var validationLoss: Double?
        /// Of the parameters after the step: 16 hex digits.
        package var digest: String

        package init(step: UInt64, loss: Double, validationLoss: Double? = nil, digest: String = "") {
            self.step = step
            self.loss = loss
            self.validationLoss = validationLoss
            self.digest = digest
        }
    }

    package let points: [Point]

    package init(points: [Point]) { self.points = points }

    /// Reads the whole lines of a file; none where it cannot be read.
    package init(contentsOf url: URL) {
        let bytes = (try? Data(contentsOf: url, options: .mappedIfSafe)) ?? Data()
        points = bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard line.last == UInt8(ascii: "}") else { return nil }
            let text = String(decoding: line, as: UTF8.self)
            guard let step = Self.field("step", of: text).flatMap({ UInt64($0) }),
                let loss = Self.field("loss", of: text).flatMap({ Double($0) })
            else { return nil }
            return Point(
                step: step, loss: loss, validationLoss: Self.field("validation_loss", of: text).flatMap { Double($0) },
                digest: Self.field("digest", of: text).map { $0.filter(\.isHexDigit) } ?? "")
        }
    }

    private static func field(_ name: String, of line: String) -> Substring? {
        guard let key = line.range(of: "\"\(name)\":") else { return nil }
        return line[key.upperBound...].prefix { $0 != "," && $0 != "}" }
    }
}
