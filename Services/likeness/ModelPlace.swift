import ArgumentParser
import Foundation
import ModelFolder

/// Options that say which model a command uses: the services' own, unless others are given.
struct ModelPlace: ParsableArguments {
    @Option(help: "Model folder or single file; LIKENESS_MODELS or deploy/miniature if not given.", completion: .file())
    var models: String?

    @Option(help: "IP-Adapter's file or folder; LIKENESS_IP_ADAPTER, or in or beside the models.", completion: .file())
    var ipAdapter: String?

    func open(adapterRequired: Bool = true) throws -> PipelineFolder {
        let environment = ProcessInfo.processInfo.environment
        let models = models ?? environment["LIKENESS_MODELS"] ?? "deploy/miniature"
        let adapter = ipAdapter ?? environment["LIKENESS_IP_ADAPTER"]
        return try PipelineFolder(
            URL(fileURLWithPath: models), adapter: adapter.map { URL(fileURLWithPath: $0) },
            adapterRequired: adapterRequired)
    }
}
