import ArgumentParser
import Foundation
import Training
import ZeroMQ

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Makes and shows the CURVE keys of a cluster.",
        discussion: """
            The first call makes DIRECTORY with a folder for the coordinator and one for each worker key, and says what \
            each host needs. Later calls add, remove and show. Keep DIRECTORY safe: its secret keys are 0600, and a \
            coordinator or worker refuses one that others can read.

            A key may serve many workers, or one for each host: then one can be removed alone. The coordinator reads its \
            allowlist again whenever it changes, so workers are added and removed while it trains, by a call here and a \
            copy of DIRECTORY/coordinator/allow.

            To rotate a worker's key: add one under a new name, restart the worker with it, remove the old one. To rotate \
            the coordinator's: --new-coordinator, copy server.public to every worker (a running one reads it again when \
            it connects), restart the coordinator with --resume.
            """)

    @Argument(help: "The folder of the cluster's keys.") var directory: String
    @Option(name: .customLong("worker"), help: "Make keys for a worker of this name, and allow them. May be repeated.")
    var workers: [String] = []
    @Option(help: "Delete the keys of a worker of this name, and allow them no more. May be repeated.")
    var remove: [String] = []
    @Flag(help: "Make new keys for the coordinator in place of those it has.") var newCoordinator = false

    func run() throws {
        let cluster = ClusterKeys(directory)
        for name in workers + remove { try ClusterKeys.checkName(name) }
        // Before anything is made.
        for name in remove where !workers.contains(name) { try cluster.checkExists(name) }
        let isNew = !cluster.coordinator.exists
        if isNew || newCoordinator { try cluster.makeCoordinator() }
        // A name that is there already keeps its keys: the same call can be made again.
        let wanted = isNew && workers.isEmpty && cluster.workers.isEmpty ? ["worker"] : workers
        for name in wanted where !cluster.folder(name).exists { try cluster.makeWorker(name) }
        for name in Set(remove) { try cluster.remove(name) }
        try show(cluster)
    }

    private func show(_ cluster: ClusterKeys) throws {
        let coordinator = cluster.coordinator
        print(
            """
            the coordinator's host needs \(coordinator.path)
              public key \(try coordinator.readPair().publicKey.z85)
              lockstep coordinator CORPUS --listen tcp://0.0.0.0:5757 --keys \(coordinator.path)
            """)
        for name in cluster.workers {
            let folder = cluster.folder(name)
            print(
                """
                a worker's host needs \(folder.path)
                  public key \(try folder.readPair().publicKey.z85)
                  lockstep worker --connect tcp://COORDINATOR:5757 --keys \(folder.path)
                """)
        }
        if cluster.workers.isEmpty { print("no worker has a key yet: add one with --worker NAME") }
        print("copy a folder with its permissions: scp -rp FOLDER HOST:")
    }
}
