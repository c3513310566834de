import Testing

@testable import Training

@Suite("Injected faults")
struct FaultPlanTests {
    @Test(
        "A plan is understood as it is written",
        arguments: [
            "", "kill", "kill@step=5,worker=1,phase=backward", "stop@phase=evaluation", "exit@worker=2",
            "corrupt-gradient@step=9", "corrupt-parameters@worker=1,step=3", "slow:2.5@step=4", "kill@step=1;slow:20",
        ])
    func accepted(text: String) throws {
        #expect(try FaultPlan(text).text == text)
    }

    @Test(
        "A plan that could not be carried out as it is written is refused, with the part that is wrong",
        arguments: [
            ("nonsense", "'nonsense'"), ("kill;slow:0.5", "'slow:0.5'"), ("kill@step", "'kill@step'"),
            ("kill@step=x", "'kill@step=x'"), ("kill@day=1", "'kill@day=1'"),
            ("kill@phase=night", "'kill@phase=night'"), ("kill@step=1,step=2", "'kill@step=1,step=2'"),
            ("kill@worker=0", "'kill@worker=0'"), ("exit;stop@worker=-1", "'stop@worker=-1'"),
            ("slow:4@phase=forward", "leave out phase=forward"),
            ("corrupt-gradient@step=1,phase=result", "leave out phase=result"),
            ("kill;corrupt-parameters@phase=backward", "corrupt-parameters is not for one phase"),
            (String(repeating: "kill;", count: 820), "4096 bytes"),
        ])
    func refused(text: String, reason: String) {
        let error = #expect(throws: UsageError.self) { try FaultPlan(text) }
        #expect(error?.description.hasPrefix("--inject ") == true)
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test("A worker gets what concerns it")
    func concerning() throws {
        let plan = try FaultPlan("kill@worker=1")
        for name in ["w1", "node2-w1", "1"] { #expect(plan.concerning(name: name) == plan, "\(name)") }
        for name in ["w2", "w11", "1w", "w1-4711", "w", ""] { #expect(plan.concerning(name: name) == .none, "\(name)") }
    }

    @Test("The part of a plan is written as it was, and plans add up")
    func parts() throws {
        let plan = try FaultPlan("kill@worker=1,step=5;slow:4;stop@worker=2")
        #expect(plan.concerning(worker: 1).text == "kill@worker=1,step=5;slow:4")
        #expect(plan.concerning(worker: 3).text == "slow:4")
        #expect(try plan.concerning(worker: 3) + FaultPlan("exit") == FaultPlan("slow:4;exit"))
        #expect(FaultPlan.none + plan == plan)
    }
}
