import Corpus
import TestSupport
import Testing

@Suite("One-hot encoding")
struct OneHotTensorTests {
    @Test("Tokens of shape [2, 5] give [2, 5, V], each one 1 among zeros")
    func twoByFive() throws {
        let tokens: [UInt32] = [0, 3, 1, 2, 3, 2, 2, 0, 1, 3]
        let tensor = try OneHotTensor(tokens, shape: [2, 5], vocabulary: 4)
        #expect(tensor.shape == [2, 5, 4])
        #expect(tensor.values.count == 40)
        for row in 0..<2 {
            for column in 0..<5 {
                for index in 0..<4 {
                    let expected: Float = tokens[row * 5 + column] == UInt32(index) ? 1 : 0
                    #expect(tensor[row, column, index] == expected)
                }
            }
        }
    }

    @Test("Any shape is taken", arguments: [[], [1], [0], [3, 0, 2], [2, 3, 4]])
    func shapes(shape: [Int]) throws {
        let count = shape.reduce(1, *)
        let tensor = try OneHotTensor((0..<count).map { UInt32($0 % 3) }, shape: shape, vocabulary: 3)
        #expect(tensor.shape == shape + [3])
        #expect(tensor.values.reduce(0, +) == Float(count))
    }

    @Test("What does not fit is refused")
    func refusals() {
        #expect(throws: OneHotTensor.BadShape(shape: [2, 2], reason: "there are 3 tokens")) {
            try OneHotTensor([0, 1, 2], shape: [2, 2], vocabulary: 3)
        }
        #expect(throws: OneHotTensor.BadShape(shape: [1], reason: "token 3 is not in a vocabulary of 3")) {
            try OneHotTensor([3], shape: [1], vocabulary: 3)
        }
        #expect(throws: OneHotTensor.BadShape.self) { try OneHotTensor([], shape: [-1], vocabulary: 3) }
        #expect(throws: OneHotTensor.BadShape.self) { try OneHotTensor([], shape: [.max, .max], vocabulary: 3) }
        #expect(throws: OneHotTensor.BadShape.self) { try OneHotTensor([], shape: [0], vocabulary: 0) }
    }

    @Test("A one-hot batch holds a 1 at each input token")
    func batch() throws {
        let corpus = try EncodedCorpus(text: "abcdefghijklmn")
        let batched = try BatchedCorpus(corpus: corpus, batch: 2, window: 3)
        let (inputs, targets) = try batched.oneHotBatch(window: 1)
        let reference = batched.batch(rows: 0..<2, window: 1)
        #expect(inputs.shape == [2, 3, 14])
        #expect(inputs == (try OneHotTensor(reference.inputs, shape: [2, 3], vocabulary: 14)))
        #expect(inputs[1, 2, 11] == 1)
        #expect(targets == reference.targets)
    }
}
