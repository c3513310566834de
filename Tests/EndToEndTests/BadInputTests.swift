import Foundation
import Testing

@Suite("Bad input", .serialized)
struct BadInputTests {
    /// Arguments, and words that the one line of the error must have.
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// 64 where flags are wrong whatever the files and the machine.
        var code: Int32 = 1
        var arguments: [String]
        var words: [String]

        init(_ name: String, code: Int32 = 1, _ arguments: [String], _ words: String...) {
            testDescription = name
            self.code = code
            self.arguments = arguments
            self.words = words
        }

        /// Training flags that are wrong by themselves or against each other.
        init(flags: String..., words: String...) {
            testDescription = flags.joined(separator: " ")
            code = 64
            arguments = ["train", "text.txt", "--run=run"] + TinyRun.flags + flags
            self.words = words
        }

        /// A text that is refused.
        init(text: String, _ words: String...) {
            testDescription = text
            arguments = ["train", text, "--run=run"] + TinyRun.flags
            self.words = words
        }
    }

    static let cases = [
        Case(
            "a shard's state that no frame can hold", code: 64,
            [
                "train", "text.txt", "--run=run", "--hidden=1024", "--layers=3", "--batch=512", "--window=4",
                "--shards=1", "--quiet",
            ], "raise --shards"),
        Case(text: "missing.txt", "missing.txt does not exist"),
        Case(text: "empty.txt", "empty.txt is empty"),
        Case(text: "folder", "folder is a folder"),
        Case(text: "invalid.txt", "invalid.txt", "0xFF", "byte offset 7", "UTF-8"),
        Case(text: "cut.txt", "cut.txt", "byte offset 6", "UTF-8"),
        Case(text: "short.txt", "short.txt", "256", "--batch", "--window"),
        Case(text: "aaaa.txt", "aaaa.txt", "single character"),
        Case(flags: "--shards=5", words: "--shards 5", "--batch 16"),
        Case(flags: "--hidden=0", words: "--hidden", "16384"),
        Case(flags: "--batch=0", words: "--batch", "65536"),
        Case(flags: "--dropout=2", words: "--dropout", "2.0"),
        Case(flags: "--keep=0", words: "--keep"),
        Case(flags: "--steps=0", words: "--steps", "4294967295"),
        Case(flags: "--epochs=2", words: "--epochs", "--steps"),
        Case(
            "no epoch", code: 64, ["train", "text.txt", "--run=run", "--epochs=0"] + TinyRun.shape, "--epochs", "not 0"),
        Case(flags: "--momentum=0.9", words: "--momentum belongs to --optimizer rmsprop or sgd", "adam"),
        Case(flags: "--optimizer=sgd", "--beta1=0.5", words: "--beta1 belongs to --optimizer adam or adamw", "sgd"),
        Case(flags: "--optimizer=sgd", "--epsilon=1e-7", words: "--epsilon", "rmsprop"),
        Case(flags: "--alpha=0.9", words: "--alpha belongs to --optimizer rmsprop"),
        Case(flags: "--schedule-gamma=0.9", words: "--schedule-gamma belongs to --schedule step or exponential"),
        Case(flags: "--schedule=cosine", "--schedule-after=9", words: "--schedule-after", "exponential", "cosine"),
        Case(flags: "--schedule-unit=epoch", words: "--schedule-unit", "constant"),
        Case(flags: "--forget-bias=nan", words: "--forget-bias must be finite"),
        Case(flags: "--forget-bias=-inf", words: "--forget-bias must be finite"),
        Case(flags: "--weight-decay=nan", words: "--weight-decay must be 0 or more, and finite"),
        Case(flags: "--beta2=nan", words: "--beta2 must be at least 0 and below 1"),
        Case(flags: "--no-bias", "--forget-bias=1", words: "--forget-bias", "--no-bias"),
        Case(flags: "--clip=inf", words: "--clip", "finite"),
        Case(flags: "--schedule=step", "--schedule-gamma=nan", words: "--schedule-gamma", "at most 1"),
        // Nothing is made before the name is looked for.
        Case("a key that there is not", ["keys", "run", "--remove=alpha"], "run: there is no key of alpha here"),
        Case("keys in a file", ["keys", "text.txt"], "text.txt/coordinator", "Not a directory"),
        Case(flags: "--worker-timeout=0", words: "--worker-timeout"),
        Case(flags: "--steps", "-5", words: "--steps must not be negative", "-5"),
        Case(flags: "--seed=-1", words: "--seed must not be negative"),
        Case(flags: "--checkpoint-every", "-60s", words: "--checkpoint-every must not be negative"),
        Case(flags: "--hidden", "-1", words: "--hidden", "not -1"),
        Case(flags: "--clip", "-1", words: "--clip must be 0 (none) or more, and finite, not -1.0"),
        Case(flags: "--learning-rate", "-.5", words: "--learning-rate", "-0.5"),
        Case(
            flags: "--schedule=cosine", "--schedule-minimum=0.01",
            words: "--schedule-minimum 0.01 is above --learning-rate 0.001"),
        Case(
            flags: "--dashboard=off", "--dashboard-token=0123456789",
            words: "--dashboard-token is for readers of the page", "--dashboard off"),
        Case("no text's name", code: 64, ["train", "", "--run=run"], "the word behind train is empty"),
        Case(flags: "--run=", words: "the word behind --run is empty"),
        Case(flags: "--run", "", words: "the word behind --run is empty"),
        Case("no run to be made", code: 64, ["import", "folder", ""], "the word behind folder is empty"),
        Case("no model to be written", code: 64, ["export", "folder", ""], "the word behind folder is empty"),
        Case("no folder for keys", code: 64, ["keys", "", "--remove=alpha"], "the word behind keys is empty"),
        Case(text: "no\nsuch", #"no\nsuch does not exist"#),
        Case(
            "a run folder with an escape", TinyRun.train("--run=text.txt/\u{1B}[31m\n"),
            #"text.txt/\u{1B}[31m\n: cannot"#),
        Case(flags: "--listen=\n", words: #"cannot use the address \n"#),
        Case(flags: "--dashboard-token=short", words: "--dashboard-token"),
        Case(
            "a configuration and a resume", code: 64, ["train", "--config=run.json", "--run=run", "--resume"],
            "--config", "--resume"),
        Case("a configuration that is none", TinyRun.train("--config=text.txt"), "text.txt"),
        Case("no configuration", TinyRun.train("--config=nowhere"), "nowhere does not exist: check the path"),
        Case("run folder below a file", TinyRun.train("--run=text.txt/run"), "text.txt/run", "run folder"),
        Case("no run to resume", ["train", "--run=nowhere", "--resume", "--quiet"], "nowhere"),
        Case(flags: "--inject=nonsense", words: "--inject", "nonsense"),
        Case(flags: "--inject=kill@worker=0", words: "--inject", "'kill@worker=0'"),
        // There are two.
        Case(flags: "--inject=exit@worker=1;kill@worker=3", words: "--inject", "worker=3", "--workers 2"),
        Case(flags: "--audit=5e-7", words: "--audit", "0.000001"),
        Case(
            "a coordinator's faults", code: 64,
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--inject=kill;nonsense"],
            "--inject", "'nonsense'"),
        Case(flags: "--listen=nonsense", words: "--listen", "nonsense"),
        Case(flags: "--listen=tcp://0.0.0.0:0", words: "tcp://0.0.0.0:0", "--keys", "--insecure"),
        Case(
            "keys that are not there", TinyRun.train("--listen=tcp://0.0.0.0:0", "--keys=nowhere"),
            "nowhere/curve.secret"),
        Case(
            "a page's host that nobody knows", TinyRun.train("--dashboard=no.such.host.invalid:0"),
            "no.such.host.invalid cannot be found"),
        Case("a worker's address", code: 64, ["worker", "--connect=nonsense"], "--connect", "nonsense"),
        Case(
            "a worker's address without a port", code: 64, ["worker", "--connect=tcp://localhost:0"], "--connect",
            "port 0"),
        Case(
            "a worker's address for listening", code: 64, ["worker", "--connect=tcp://*:5757"], "--connect", "* is for"),
        Case(
            "all addresses to ask", code: 64, ["status", "--connect=tcp://*:5757"], "--connect", "* is for listening"),
        Case("an address to ask", code: 64, ["status", "--connect=nonsense"], "--connect", "nonsense"),
        Case("a page's address", code: 64, ["dashboard", "run", "--listen=nonsense"], "--listen", "nonsense"),
        Case("a key's name", code: 64, ["keys", "keys", "--worker=../alpha"], "../alpha"),
        Case("trace file", TinyRun.train("--trace=nowhere/trace"), "--trace nowhere/trace"),
        Case("a trace that nobody reads", TinyRun.train("--trace=piped/run.json"), "piped/run.json", "named pipe"),
        Case("a pipe in the place of an address", TinyRun.train("--endpoint-file=piped/run.json"), "cannot be written"),
        Case(
            "a folder for a vocabulary", TinyRun.train("--vocabulary=folder"),
            "folder is not a vocabulary (it is a folder): name the vocabulary.json of a run"),
        Case(
            "an empty vocabulary", TinyRun.train("--vocabulary=empty.txt"),
            "empty.txt is not a vocabulary (it is empty)"),
        Case("endpoint file", TinyRun.train("--endpoint-file=nowhere/endpoint"), "nowhere/endpoint"),
        Case("sample of a folder without a run", ["sample", "folder"], "folder: this is no run folder"),
        Case("status of a folder without a run", ["status", "folder"], "folder: this is no run folder"),
        Case("status where nothing was trained", ["status"], "runs: no folder in it holds a run"),
        Case("sample of nothing", ["sample", "nowhere"], "nowhere"),
        Case(
            "a run whose configuration is a pipe", ["train", "--run=piped", "--resume", "--quiet"],
            "piped/run.json: cannot be read", "regular file"),
        Case("status of a pipe", ["status", "--endpoint-file=piped/run.json"], "piped/run.json: cannot be read"),
        Case(
            "a worker that finds a pipe", ["worker", "--endpoint-file=piped/run.json", "--retry-for=1s"],
            "no address came to stand in piped/run.json within --retry-for 1s"),
        Case(
            "a worker that finds an address for listening",
            ["worker", "--endpoint-file=listening.txt", "--retry-for=1s"],
            "cannot connect to tcp://*:5757: * is for listening"),
        Case("inspection of nothing", ["inspect", "nowhere"], "nowhere"),
        Case("inspection of a text", ["inspect", "text.txt"], "text.txt"),
    ]

    @Test("Ends with its code and one line that names it", arguments: cases)
    func oneLine(_ example: Case) async throws {
        let folder = try TinyRun.folder()
        try folder.write([], to: "empty.txt")
        try folder.write(Array("hello w".utf8) + [0xFF, 0xFE] + Array("orld".utf8), to: "invalid.txt")
        try folder.write(Array("hello ".utf8) + [0xE2, 0x82], to: "cut.txt")
        try folder.write(Array("short".utf8), to: "short.txt")
        try folder.write(Array(repeating: UInt8(ascii: "a"), count: TinyRun.characters), to: "aaaa.txt")
        try folder.write("tcp://*:5757\n".utf8, to: "listening.txt")
        try FileManager.default.createDirectory(at: folder.file("folder"), withIntermediateDirectories: false)
        try FileManager.default.createDirectory(at: folder.file("piped"), withIntermediateDirectories: false)
        try #require(mkfifo(folder.file("piped/run.json").path, 0o600) == 0)
        let result = try await Execution.run(example.arguments, in: folder)
        #expect(result.code == example.code)
        #expect(result.output.isEmpty)
        #expect(result.errorLines.count == 1, "\(result.errors)")
        #expect(result.errors.hasPrefix("Error: "), "\(result.errors)")
        for word in example.words { #expect(result.errors.contains(word), "\(result.errors)") }
        #expect(!FileManager.default.fileExists(atPath: folder.file("run").path), "it left a run folder behind")
    }

    @Test(
        "Bad usage ends with code 64 and names the flag",
        arguments: [
            ("train", "--bogus"), ("train", "--workers=0"), ("train", "--workers=many"), ("train", "--optimizer=best"),
            ("train", "--minimum-workers=0"),
            // There are two.
            ("train", "--minimum-workers=3"),
            // Without --listen.
            ("train", "--keys=nowhere"), ("train", "--allow=nowhere"),
        ])
    func usage(command: String, flag: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run([command, "text.txt", "--run=run", flag], in: folder)
        #expect(result.code == 64)
        let name = try #require(flag.split(separator: "=").first)
        #expect(try #require(result.errorLines.first).contains(name), "\(result.errors)")
    }

    @Test(
        "A value that came from the environment is blamed on its variable",
        arguments: [
            ("LOCKSTEP_THREADS", "zero", "'--threads <threads>' (--threads comes from LOCKSTEP_THREADS)"),
            ("LOCKSTEP_THREADS", "0", "--threads must be from 1 to 1024 (--threads comes from LOCKSTEP_THREADS)"),
            ("LOCKSTEP_CONNECT", "nonsense", "(--connect comes from LOCKSTEP_CONNECT)"),
        ])
    func variable(name: String, value: String, words: String) async throws {
        let environment = ["LOCKSTEP_CONNECT": "tcp://127.0.0.1:1", "LOCKSTEP_THREADS": "1"].merging([name: value]) {
            $1
        }
        let result = try await Execution.run(["worker"], in: try TemporaryFolder(), environment: environment)
        #expect(result.code == 64)
        #expect(try #require(result.errorLines.first).hasSuffix(words), "\(result.errors)")
        // A flag wins, and is to blame itself.
        let flag = "--\(name.dropFirst("LOCKSTEP_".count).lowercased())=\(value)"
        let given = try await Execution.run(["worker", flag], in: try TemporaryFolder(), environment: environment)
        #expect(given.code == 64)
        #expect(!given.errors.contains("comes from"), "\(given.errors)")
    }

    @Test("A token that is set for all starts is no contradiction where the page is off", arguments: [true, false])
    func tokenOfNoPage(isFlag: Bool) async throws {
        let folder = try TinyRun.folder()
        // The text is missing: that is what is to be said.
        let result = try await Execution.run(
            ["coordinator", "missing.txt", "--run=run", "--listen=tcp://127.0.0.1:0"]
                + (isFlag ? ["--dashboard", "off"] : []), in: folder,
            environment: ["LOCKSTEP_DASHBOARD_TOKEN": "0123456789", "LOCKSTEP_DASHBOARD": isFlag ? "" : "off"])
        #expect(result.errors.hasPrefix("Error: missing.txt does not exist"), "\(result.errors)")
    }

    @Test(
        "What is asked for and cannot be printed is a failure, in one line",
        arguments: [
            ["--version"], ["--help"], ["train", "--help"], ["plan", "--step-seconds=1", "--bandwidth=1gbit"],
        ])
    func fullOutput(arguments: [String]) async throws {
        let folder = try TemporaryFolder()
        let execution = try Execution(
            arguments, in: folder, launcher: ["/bin/sh", "-c", #"exec "$0" "$@" > /dev/full"#])
        let result = try await execution.result()
        #expect(result.code == 1)
        #expect(result.errors == "Error: cannot write to standard output: No space left on device\n")
    }

    @Test("Whoever takes faults offers them", arguments: ["train", "coordinator", "worker"])
    func offersFaults(command: String) async throws {
        let help = try await Execution.run([command, "--help"], in: try TemporaryFolder())
        #expect(help.code == 0 && help.output.contains("--inject"))
    }

    @Test("A plan takes as many layers as a run does", arguments: [(64, 0), (65, 64)])
    func layersOfPlan(layers: Int, code: Int32) async throws {
        let plan = ["plan", "--step-seconds=1", "--bandwidth=1gbit", "--layers=\(layers)"]
        let result = try await Execution.run(plan, in: try TemporaryFolder())
        #expect(result.code == code, "\(result.errors)")
    }

    @Test("A number below zero is taken where it makes sense")
    func negative() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train("--steps=1", "--forget-bias", "-1"), in: folder)
        #expect(result.code == 0, "\(result.errors)")
        let configuration = try JSONSerialization.jsonObject(with: Data(contentsOf: folder.file("run/run.json")))
        #expect((configuration as? [String: Any])?["forgetBias"] as? Double == -1)
    }

    @Test("An instruction set that there is not is refused by name")
    func instructionSet() async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train(), in: folder, environment: ["LOCKSTEP_ISA": "v9"])
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1)
        #expect(result.errors.contains("LOCKSTEP_ISA=v9"), "\(result.errors)")
        // An empty variable is none.
        #expect(try await Execution.run(TinyRun.train(), in: folder, environment: ["LOCKSTEP_ISA": ""]).code == 0)
    }

    @Test(
        "Settings that were changed by hand in run.json are not gone on with",
        arguments: [
            (#""dropout" : 0.5"#, #""dropout" : 0.4"#), (#""clip" : 5"#, #""clip" : 4"#),
            (#""learningRate" : 0.001"#, #""learningRate" : 0.01"#), (#""seed" : 0"#, #""seed" : 1"#),
            (#""warmup" : 0"#, #""warmup" : 9"#), (#""stateless" : false"#, #""stateless" : true"#),
        ])
    func changedByHand(setting: String, other: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train("--workers=1", "--steps=2"), in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let configuration = try String(contentsOf: folder.file("run/run.json"), encoding: .utf8)
        try #require(configuration.contains(setting))
        try folder.write(Array(configuration.replacing(setting, with: other).utf8), to: "run/run.json")
        let resumed = try await Execution.run(["train", "--run=run", "--resume", "--quiet", "--steps=4"], in: folder)
        #expect(resumed.code == 1)
        #expect(resumed.errorLines.count == 1)
        #expect(resumed.errors.contains("another run than the run.json beside it"), "\(resumed.errors)")
    }

    @Test(
        "A resumed run refuses another model or batch, and stays as it was",
        arguments: [
            ("--hidden=32", "--hidden is 16 in the run, not 32"), ("--layers=1", "--layers is 2"),
            ("--batch=32", "--batch is 16"), ("--window=8", "--window is 16"), ("--seed=1", "--seed is 0"),
            ("--shards=8", "--shards is 16"), ("--dropout=0.1", "--dropout is 0.5"),
            ("--no-bias", "--no-bias: the run's model has biases"),
            ("--forget-bias=1", "--forget-bias is as drawn in the run, not 1.0"),
            ("--vocabulary=other.json", "--vocabulary other.json is not that of its run"),
        ])
    func incompatible(flag: String, words: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train("--workers=1", "--steps=2"), in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let before = try await Trace(run: "run", in: folder)
        try folder.write(Array(#"{"format": 1, "characters": "\n abc"}"#.utf8), to: "other.json")
        let resumed = try await Execution.run(["train", "--run=run", "--resume", "--quiet", flag], in: folder)
        #expect(resumed.code == 1)
        #expect(resumed.errorLines.count == 1)
        #expect(resumed.errors.contains(words), "\(resumed.errors)")
        #expect(try await Trace(run: "run", in: folder) == before)
    }
}
