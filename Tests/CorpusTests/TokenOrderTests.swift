import Corpus
import Testing

@Suite("Vocabularies of other programs")
struct TokenOrderTests {
    private func order(_ json: String) throws -> TokenOrder { try TokenOrder(json: Array(json.utf8), name: "v.json") }

    @Test(
        "All forms give the characters in the order of their tokens",
        arguments: [
            "\"bé\\na\"", "[\"b\", \"é\", \"\\n\", \"a\"]", "{\"a\": 3, \"b\": 0, \"é\": 1, \"\\n\": 2}",
            "{\"0\": \"b\", \"1\": \"é\", \"2\": \"\\n\", \"3\": \"a\"}",
        ])
    func forms(json: String) throws {
        let order = try order(json)
        #expect(order.scalars == ["b", "é", "\n", "a"])
        #expect(order.vocabulary.scalars == ["\n", "a", "b", "é"])
        #expect(order.places == [2, 3, 0, 1])
    }

    @Test("A vocabulary.json is taken too")
    func ours() throws {
        let vocabulary = try Vocabulary(text: "hello")
        let order = try TokenOrder(json: vocabulary.json, name: "v.json")
        #expect(order.vocabulary == vocabulary && order.places == [0, 1, 2, 3])
    }

    @Test(
        "What is no vocabulary is refused with the file's name",
        arguments: [
            "", "[]", "[\"ab\"]", "[\"a\", \"a\"]", "{\"a\": 0, \"b\": 2}", "{\"a\": 0, \"bc\": 1}", "[1]",
            "{\"x\": \"a\"}", "{\"format\": 9, \"characters\": \"ab\"}",
        ])
    func malformed(json: String) {
        let error = #expect(throws: CorpusError.self) { try order(json) }
        #expect(error?.description.hasPrefix("v.json") == true)
    }
}
