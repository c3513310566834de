/// A JSON text as a tree, with its numbers as they are written.
enum JSONValue {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    struct Malformed: Error {
        let position: Int
    }

    init(parsing text: [UInt8]) throws {
        var parser = Parser(bytes: text)
        self = try parser.value()
    }

    private struct Parser {
        let bytes: [UInt8]
        var position = 0

        /// The next byte that is no space, or 0 at the end.
        var next: UInt8 {
            mutating get {
                while position < bytes.count, bytes[position] <= 0x20 { position += 1 }
                return position < bytes.count ? bytes[position] : 0
            }
        }

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            guard next == UInt8(ascii: scalar) else { return false }
            position += 1
            return true
        }

        mutating func expect(_ scalar: Unicode.Scalar) throws {
            guard take(scalar) else { throw Malformed(position: position) }
        }

        mutating func value() throws -> JSONValue {
            switch next {
            case UInt8(ascii: "{"): return .object(try object())
            case UInt8(ascii: "["): return .array(try array())
            case UInt8(ascii: "\""): return .string(try string())
            default:
                let start = position
                while position < bytes.count, bytes[position] > 0x20, !"{}[],:\"".utf8.contains(bytes[position]) {
                    position += 1
                }
                let word = String(decoding: bytes[start..<position], as: UTF8.self)
                switch word {
                case "null": return .null
                case "true", "false": return .bool(word == "true")
                case "": throw Malformed(position: position)
                default: return .number(word)
                }
            }
        }

        mutating func object() throws -> [String: JSONValue] {
            try expect("{")
            var members: [String: JSONValue] = [:]
            if take("}") { return members }
            repeat {
                _ = next
                let key = try string()
                try expect(":")
                members[key] = try value()
            } while take(",")
            try expect("}")
            return members
        }

        mutating func array() throws -> [JSONValue] {
            try expect("[")
            var elements: [JSONValue] = []
            if take("]") { return elements }
            repeat { elements.append(try value()) } while take(",")
            try expect("]")
            return elements
        }

        mutating func string() throws -> String {
            try expect("\"")
            var units: [UInt16] = []
            var plain = position
            func flush(_ end: Int) { units += Array(String(decoding: bytes[plain..<end], as: UTF8.self).utf16) }
            while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
                guard bytes[position] == UInt8(ascii: "\\") else {
                    position += 1
                    continue
                }
                flush(position)
                guard position + 1 < bytes.count else { throw Malformed(position: position) }
                let escape = Character(Unicode.Scalar(bytes[position + 1]))
                position += 2
                let known: [Character: UInt16] = [
                    "n": 10, "r": 13, "t": 9, "b": 8, "f": 12, "\"": 34, "\\": 92, "/": 47,
                ]
                if let unit = known[escape] {
                    units.append(unit)
                } else {
                    let digits = String(decoding: bytes[position..<min(position + 4, bytes.count)], as: UTF8.self)
                    guard escape == "u", let unit = UInt16(digits, radix: 16) else {
                        throw Malformed(position: position)
                    }
                    units.append(unit)
                    position += 4
                }
                plain = position
            }
            flush(position)
            try expect("\"")
            return String(decoding: units, as: UTF16.self)
        }
    }
}
