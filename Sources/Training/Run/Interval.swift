/// How often something happens: every so many steps, or seconds (`500`, `60s`, `10m`, `2h`; `0` for never).
package enum Interval: Codable, Sendable, Equatable, CustomStringConvertible {
    case never
    case steps(UInt64)
    case seconds(Double)

    /// Reads `500`, `60s`, `10m`, `2h` or `0`; nil for anything else, and for more than 1e12 seconds.
    package init?(argument: String) {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
        if let last = argument.last, let unit = units[last] {
            // Some 30,000 years: in whole seconds, far from where integers end.
            guard let count = Double(argument.dropLast()), count > 0, count * unit <= 1e12 else { return nil }
            self = .seconds(count * unit)
        } else {
            guard let count = UInt64(argument) else { return nil }
            self = count == 0 ? .never : .steps(count)
        }
    }

    package var description: String {
        switch self {
        case .never: "0"
        case .steps(let count): "\(count)"
        case .seconds(let count): count == count.rounded() ? "\(Int(count))s" : "\(count)s"
        }
    }

    /// - Throws: `DecodingError` for another text than ``init(argument:)`` takes.
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Interval(argument: text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(text) is no interval"))
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Whether it is time again, `steps` and `seconds` after the last time.
    package func isDue(steps: UInt64, seconds: Double) -> Bool {
        switch self {
        case .never: false
        case .steps(let count): steps >= count
        case .seconds(let count): seconds >= count
        }
    }
}
