import ArgumentParser
import Foundation

/// The command line: a client of the gateway, and tools that need none.
@main
struct Likeness: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "likeness",
        abstract: "Personalised pictures of people: photos in, queued work, pictures and scores out.",
        discussion: "Commands that ask the gateway find it at LIKENESS_GATEWAY_URL (\(GatewayClient.defaultURL)).",
        groupedSubcommands: [
            CommandGroup(
                name: "Pictures:",
                subcommands: [PersonCommand.self, GenerateCommand.self, JobsCommand.self, EvaluateCommand.self]),
            CommandGroup(name: "Operation:", subcommands: [StatusCommand.self, TopologyCommand.self]),
            CommandGroup(
                name: "Models and data:",
                subcommands: [
                    ModelCommand.self, DatasetCommand.self, TrainCommand.self, CompareCommand.self, MetricsCommand.self,
                    FacesCommand.self,
                    VerifyGoldensCommand.self, BenchCommand.self,
                ]),
        ])

    /// As the parser's own, but errors come with their remedy.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let error as GatewayError {
            error.inWords.print()
            Self.exit(withError: ExitCode.failure)
        } catch let error as UserError {
            error.print()
            Self.exit(withError: ExitCode.failure)
        } catch {
            Self.exit(withError: error)
        }
    }
}

/// What went wrong, in words, and what to do about it.
struct UserError: Error {
    let error: String
    let remedy: String

    init(_ error: String, remedy: String) { (self.error, self.remedy) = (error, remedy) }

    func print() {
        FileHandle.standardError.write(Data("error: \(error)\nremedy: \(remedy)\n".utf8))
    }
}
