import Foundation
import Kernels
import SeededNumbers
import Testing

@testable import Checkpoints

@Suite("Safetensors headers")
struct SafetensorsHeaderTests {
    private func parse(_ json: String, data: Int = 0) throws -> SafetensorsHeader {
        try SafetensorsHeader(parsing: Array(json.utf8), dataCount: data)
    }

    @Test("A header that is written is read back, whatever its names hold")
    func roundTrip() throws {
        let name = "a \"b\" \\ \u{1}\n\r\t/ é漢😀"
        let header = SafetensorsHeader(
            tensors: [
                SafetensorsHeader.Tensor(name: name, type: .f32, shape: [2, 3], range: 0..<24),
                SafetensorsHeader.Tensor(name: "empty", type: .u8, shape: [0, 7], range: 24..<24),
                SafetensorsHeader.Tensor(name: "scalar", type: .f64, shape: [], range: 24..<32),
            ], metadata: ["k\u{0}": "v\u{1f}", "z": "", "a": name])
        let bytes = header.serialised()
        #expect(bytes.count % 8 == 0)
        #expect(dataStart(Data(bytes)) == bytes.count)
        #expect(bytes.starts(with: header.serialised()))
        let read = try SafetensorsHeader(parsing: Array(bytes.dropFirst(8)), dataCount: 32)
        #expect(read == header)
        #expect(read[name]?.elementCount == 6 && read["empty"]?.elementCount == 0 && read["other"] == nil)
    }

    @Test("Escapes and spaces are JSON's")
    func escapes() throws {
        let header = try parse(
            "{ \"__metadata__\" :\t{ \"\\u0061\\/\\b\\f\" : \"\\ud83d\\ude00\\u00e9\" , \"b\":\"\" } \r\n } ")
        #expect(header.metadata == ["a/\u{8}\u{c}": "😀é", "b": ""])
    }

    @Test("Tensors stand in the order of their bytes, not of their names")
    func order() throws {
        let header = try parse(
            """
            {"b":{"shape":[2],"data_offsets":[2,4],"dtype":"U8"},"a":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]}}
            """, data: 4)
        #expect(header.tensors.map(\.name) == ["a", "b"] && header.dataCount == 4)
    }

    @Test("Types of less than a byte must fill their last byte")
    func smallTypes() throws {
        #expect(SafetensorsType.f4.byteCount(shape: [2, 3]) == 3)
        #expect(SafetensorsType.f4.byteCount(shape: [3]) == nil)
        #expect(SafetensorsType.f6e2m3.byteCount(shape: [4]) == 3)
        #expect(SafetensorsType.c64.byteCount(shape: []) == 8)
        #expect(SafetensorsType.u8.byteCount(shape: [.max, 2]) == nil)
    }

    @Test(
        "What is not the format's JSON is refused",
        arguments: [
            "", " {}", "{", "{}}", "{}\n", "{} x", "{\"a\"}", "{\"a\":}", "{\"a\":{}}", "{\"a\":1}", "{,}",
            "{\"a\":[]}",
            "{\"__metadata__\":[]}", "{\"__metadata__\":null}", "{\"__metadata__\":{\"a\":null}}",
            "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", "{\"__metadata__\":{},\"__metadata__\":{}}",
            "{\"__metadata__\":{\"a\":\"\u{1}\"}}", "{\"__metadata__\":{\"a\":\"\\x\"}}",
            "{\"__metadata__\":{\"a\":\"\\ud800\"}}", "{\"__metadata__\":{\"a\":\"\\udc00\"}}",
            "{\"__metadata__\":{\"a\":\"\\u12\"}}", "{\"__metadata__\":{\"a\":\"\\ud800\\u0041\"}}",
            "{\"__metadata__\":{\"a\":\"b\",}}", "{\"__metadata__\":{\"a\":\"b",
        ])
    func malformed(_ json: String) {
        #expect(throws: SafetensorsError.self) { try parse(json) }
    }

    @Test(
        "A tensor that is not whole is refused",
        arguments: [
            "\"dtype\":\"U8\",\"shape\":[2]", "\"dtype\":\"U8\",\"data_offsets\":[0,2]",
            "\"shape\":[2],\"data_offsets\":[0,2]", "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"more\":1",
            "\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]",
            "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2,2]",
            "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2]",
            "\"dtype\":\"U8\",\"shape\":[2.0],\"data_offsets\":[0,2]",
            "\"dtype\":\"U8\",\"shape\":[02],\"data_offsets\":[0,2]",
            "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,99999999999999999999]",
            // Ten times more than fits, which would come to 2.
            "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,18446744073709551618]",
            "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[-0,2]",
            "\"dtype\":\"u8\",\"shape\":[2],\"data_offsets\":[0,2]",
            "\"dtype\":\"U8\",\"shape\":\"2\",\"data_offsets\":[0,2]",
            "\"dtype\":\"U8\",\"shape\":[2,],\"data_offsets\":[0,2]",
            "\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]",
            "\"dtype\":\"U8\",\"shape\":[0,9223372036854775807,9223372036854775807],\"data_offsets\":[2,2]",
        ])
    func badTensor(_ fields: String) throws {
        #expect(throws: SafetensorsError.self) { try parse("{\"a\":{\(fields)}}", data: 2) }
    }

    @Test("A header changed at random is read or refused, and nothing else")
    func fuzz() throws {
        let whole = try parse(
            "{\"__metadata__\":{\"k\":\"\\u00e9v\"},\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
            data: 2
        ).serialised().dropFirst(8)
        var random = SplitMix64(seed: 11)
        let alphabet = Array("{}[]:,\"\\u0129a ".utf8) + [0, 0xff, 0xc3]
        var refused = 0
        for _ in 0..<3000 {
            var bytes = Array(whole)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = alphabet.randomElement(using: &random)!
                case 1: bytes.remove(at: index)
                default: bytes.insert(alphabet.randomElement(using: &random)!, at: index)
                }
            }
            if (try? SafetensorsHeader(parsing: bytes, dataCount: 2)) == nil { refused += 1 }
        }
        #expect(refused > 2000 && refused < 3000)
    }
}
