import Foundation

/// A value of a fixture, with errors that say where something is missing.
///
/// Numbers are read as they are asked for: JSONSerialization's differ from the text in the last bit.
struct JSON {
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    private let value: JSONValue
    private let path: String

    init(_ value: JSONValue, path: String) {
        self.value = value
        self.path = path
    }

    subscript(key: String) -> JSON {
        get throws {
            guard let found = self[optional: key] else { throw Missing(description: "\(path) has no \(key)") }
            return found
        }
    }

    /// nil where there is no such key, or null under it.
    subscript(optional key: String) -> JSON? {
        guard case .object(let object) = value, let found = object[key] else { return nil }
        if case .null = found { return nil }
        return JSON(found, path: "\(path)/\(key)")
    }

    var keys: [String] {
        guard case .object(let object) = value else { return [] }
        return object.keys.sorted()
    }

    var array: [JSON] {
        get throws {
            guard case .array(let array) = value else { throw Missing(description: "\(path) is no array") }
            return array.enumerated().map { JSON($1, path: "\(path)/\($0)") }
        }
    }

    var string: String {
        get throws {
            guard case .string(let string) = value else { throw Missing(description: "\(path) is no string") }
            return string
        }
    }

    var bool: Bool {
        get throws {
            guard case .bool(let bool) = value else { throw Missing(description: "\(path) is no truth value") }
            return bool
        }
    }

    var double: Double { get throws { try single() } }
    var int: Int { get throws { Int(try double) } }

    /// Nested arrays of numbers, row-major.
    var doubles: [Double] { get throws { try scalars() } }
    var ints: [Int] { get throws { try doubles.map { Int($0) } } }

    /// Nested arrays of numbers, row-major, each rounded once from its text.
    func scalars<Scalar: LosslessStringConvertible>(as type: Scalar.Type = Scalar.self) throws -> [Scalar] {
        var flat: [Scalar] = []
        try flatten(value, into: &flat)
        return flat
    }

    private func single<Scalar: LosslessStringConvertible>() throws -> Scalar {
        guard case .number(let text) = value, let number = Scalar(text) else {
            throw Missing(description: "\(path) is no such number")
        }
        return number
    }

    private func flatten<Scalar: LosslessStringConvertible>(_ value: JSONValue, into flat: inout [Scalar]) throws {
        switch value {
        case .number(let text):
            guard let number = Scalar(text) else { throw Missing(description: "\(path) holds \(text)") }
            flat.append(number)
        case .array(let array): for element in array { try flatten(element, into: &flat) }
        default: throw Missing(description: "\(path) does not hold numbers alone")
        }
    }
}
