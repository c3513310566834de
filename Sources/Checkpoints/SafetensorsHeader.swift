/// What stands in front of the data of a safetensors file: 8 bytes of length, then one JSON object.
package struct SafetensorsHeader: Sendable, Equatable {
    /// The name, type, shape and place of a tensor.
    package struct Tensor: Sendable, Equatable {
        package let name: String
        package let type: SafetensorsType
        package let shape: [Int]
        /// Where its bytes lie, counted from the end of the header.
        package let range: Range<Int>

        package var elementCount: Int { shape.reduce(1, *) }

        package init(name: String, type: SafetensorsType, shape: [Int], range: Range<Int>) {
            self.name = name
            self.type = type
            self.shape = shape
            self.range = range
        }
    }

    /// The format's own bound on the length of a header.
    package static let largestLength = 100_000_000
    static let metadataKey = "__metadata__"

    /// In the order of their bytes.
    package let tensors: [Tensor]
    package let metadata: [String: String]
    private let indices: [String: Int]

    package init(tensors: [Tensor], metadata: [String: String]) {
        self.tensors = tensors
        self.metadata = metadata
        indices = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
    }

    /// The tensor of this name; nil where there is none.
    package subscript(name: String) -> Tensor? { indices[name].map { tensors[$0] } }

    /// Bytes of data that the tensors cover.
    package var dataCount: Int { tensors.last?.range.upperBound ?? 0 }

    /// Reads the JSON of a header and holds it against the data that follows.
    ///
    /// Stricter than the reference library where that is lenient: a name or field that comes twice is refused, and so
    /// is a field that the format does not know.
    ///
    /// - Parameters:
    ///   - json: the bytes between the length and the data.
    ///   - dataCount: how many bytes follow.
    /// - Throws: ``SafetensorsError``.
    package init(parsing json: [UInt8], dataCount: Int) throws(SafetensorsError) {
        var scanner = HeaderScanner(json)
        var tensors: [Tensor] = []
        var names: Set<String> = []
        var metadata: [String: String]?
        try scanner.checkStart()
        try scanner.scanObject { (scanner, name) throws(SafetensorsError) in
            if name == Self.metadataKey {
                guard metadata == nil else { throw SafetensorsError("\(name) comes twice in the header") }
                metadata = try Self.metadata(&scanner)
            } else {
                guard names.insert(name).inserted else {
                    throw SafetensorsError("tensor \(name.quoted) comes twice in the header")
                }
                tensors.append(try Self.tensor(&scanner, name: name))
            }
        }
        try scanner.scanPadding()
        tensors.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var end = 0
        for tensor in tensors {
            guard tensor.range.lowerBound == end else {
                throw SafetensorsError(
                    "tensor \(tensor.name.quoted) begins at byte \(tensor.range.lowerBound) of the data, not at \(end)")
            }
            end = tensor.range.upperBound
        }
        guard end == dataCount else {
            throw SafetensorsError("the tensors cover \(end) bytes of data, and the file holds \(dataCount)")
        }
        self.init(tensors: tensors, metadata: metadata ?? [:])
    }

    /// The length and the JSON, padded with spaces to a multiple of 8 bytes: metadata in ascending order of its keys,
    /// tensors in the order of their bytes.
    package func serialised() -> [UInt8] {
        var fields: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\($0.key.jsonLiteral):\($0.value.jsonLiteral)" }
            fields.append("\(Self.metadataKey.jsonLiteral):{\(pairs.joined(separator: ","))}")
        }
        for tensor in tensors {
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            fields.append(
                "\(tensor.name.jsonLiteral):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(tensor.range.lowerBound),\(tensor.range.upperBound)]}")
        }
        var json = Array("{\(fields.joined(separator: ","))}".utf8)
        json += Array(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
        return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
    }

    private static func metadata(_ scanner: inout HeaderScanner) throws(SafetensorsError) -> [String: String] {
        var metadata: [String: String] = [:]
        try scanner.scanObject { (scanner, key) throws(SafetensorsError) in
            guard metadata.updateValue(try scanner.scanString(), forKey: key) == nil else {
                throw SafetensorsError("\(key.quoted) comes twice in \(Self.metadataKey)")
            }
        }
        return metadata
    }

    private static func tensor(
        _ scanner: inout HeaderScanner, name: String
    ) throws(SafetensorsError) -> Tensor {
        var type: SafetensorsType?
        var shape: [Int]?
        var offsets: [Int]?
        try scanner.scanObject { (scanner, field) throws(SafetensorsError) in
            switch field {
            case "dtype" where type == nil:
                let text = try scanner.scanString()
                guard let known = SafetensorsType(rawValue: text) else {
                    throw SafetensorsError("tensor \(name.quoted) has the unknown dtype \(text.quoted)")
                }
                type = known
            case "shape" where shape == nil: shape = try scanner.scanIntegers()
            case "data_offsets" where offsets == nil: offsets = try scanner.scanIntegers()
            default: throw SafetensorsError("tensor \(name.quoted) has the unknown or repeated field \(field.quoted)")
            }
        }
        guard let type, let shape, let offsets else {
            throw SafetensorsError("tensor \(name.quoted) lacks its dtype, shape or data_offsets")
        }
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw SafetensorsError("the data_offsets of tensor \(name.quoted) are not a begin and an end")
        }
        let range = offsets[0]..<offsets[1]
        guard let count = type.byteCount(shape: shape) else {
            throw SafetensorsError("the shape of tensor \(name.quoted) is too large or ends within a byte")
        }
        guard count == range.count else {
            throw SafetensorsError(
                "tensor \(name.quoted) needs \(count) bytes by its shape and has \(range.count) by its data_offsets")
        }
        return Tensor(name: name, type: type, shape: shape, range: range)
    }
}

extension String {
    /// For messages: quoted, cut short, and on one line.
    var quoted: String {
        let start = String(String.UnicodeScalarView(unicodeScalars.prefix(64)))
        return (start.unicodeScalars.count < unicodeScalars.count ? start + "..." : start).jsonLiteral
    }

    /// As a JSON string: the quotation mark, the backslash and control characters escaped, all else as it is.
    var jsonLiteral: String {
        var literal = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": literal += "\\\""
            case "\\": literal += "\\\\"
            case "\n": literal += "\\n"
            case "\r": literal += "\\r"
            case "\t": literal += "\\t"
            case "\u{0}"..."\u{1f}":
                let digits = String(scalar.value, radix: 16)
                literal += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: literal.unicodeScalars.append(scalar)
            }
        }
        return literal + "\""
    }
}
