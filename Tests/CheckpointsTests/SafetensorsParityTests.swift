import Foundation
import Testing

@testable import Checkpoints

@Suite("Parity of the safetensors reader with the reference library")
struct SafetensorsParityTests {
    private struct Verdict: Decodable {
        struct Tensor: Decodable {
            let shape: [Int]
            let values: [Double]
        }

        let valid: Bool
        let tensors: [String: Tensor]?
        let metadata: [String: String]?
    }

    private static let folder: URL = {
        let fixtures =
            ProcessInfo.processInfo.environment["LOCKSTEP_FIXTURES"].map { URL(fileURLWithPath: $0, isDirectory: true) }
            ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../LanguageModelTests/Fixtures")
        return fixtures.appendingPathComponent("safetensors")
    }()

    private static func verdicts() throws -> [String: Verdict] {
        try JSONDecoder().decode(
            [String: Verdict].self, from: Data(contentsOf: folder.appendingPathComponent("index.json")))
    }

    /// Every safetensors file of the folder, whether or not the index knows it.
    private static let names =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
        .filter { $0.hasSuffix(".safetensors") }.sorted()

    @Test("The folder's files are those of its index")
    func index() throws {
        // Another folder than the project's may hold other kinds of fixtures alone.
        if Self.names.isEmpty, ProcessInfo.processInfo.environment["LOCKSTEP_FIXTURES"] != nil { return }
        #expect(Self.names == (try Self.verdicts().keys.sorted()))
    }

    @Test("A sound file is read and a malformed one refused", arguments: names)
    func verdict(_ name: String) throws {
        let verdict = try #require(try Self.verdicts()[name])
        let url = Self.folder.appendingPathComponent(name)
        guard verdict.valid else {
            let error = #expect(throws: CheckpointError.self) { try SafetensorsFile(url) }
            #expect(error?.code == .malformed)
            #expect(error?.description.contains("\n") == false)
            #expect((error?.description.utf8.count ?? 0) < 500)
            return
        }
        let file = try SafetensorsFile(url)
        if let metadata = verdict.metadata { #expect(file.header.metadata == metadata) }
        guard let tensors = verdict.tensors else { return }
        #expect(Set(file.header.tensors.map(\.name)) == Set(tensors.keys))
        for tensor in file.header.tensors {
            let wanted = try #require(tensors[tensor.name])
            #expect(tensor.shape == wanted.shape)
            #expect(try values(file, tensor) == wanted.values, "\(tensor.name)")
        }
    }

    private func values(_ file: SafetensorsFile, _ tensor: SafetensorsHeader.Tensor) throws -> [Double] {
        let bytes = try file.bytes(of: tensor)
        let width = tensor.type.bits / 8
        return (0..<tensor.elementCount).map { index in
            let bits = bytes[index * width..<(index + 1) * width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            switch tensor.type {
            case .f64: return Double(bitPattern: bits)
            case .f32: return Double(Float(bitPattern: UInt32(bits)))
            case .f16: return Double(Float16(bitPattern: UInt16(bits)))
            case .i64: return Double(Int64(bitPattern: bits))
            case .i32: return Double(Int32(bitPattern: UInt32(bits)))
            case .i16: return Double(Int16(bitPattern: UInt16(bits)))
            case .i8: return Double(Int8(bitPattern: UInt8(bits)))
            default: return Double(bits)
            }
        }
    }
}
