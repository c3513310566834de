import Testing

@testable import Training

@Suite("The command that resumes")
struct ResumeCommandTests {
    @Test("Words are quoted where a shell would read more into them")
    func quoting() {
        let command = ResumeCommand(
            "train", corpus: "it's.txt", run: "runs/a b", flags: ["--listen", "tcp://[::1]:0", "--endpoint-file", ""])
        #expect(
            "\(command)" == #"lockstep train 'it'\''s.txt' --run 'runs/a b' --resume"#
                + #" --listen 'tcp://[::1]:0' --endpoint-file ''"#)
    }
}
