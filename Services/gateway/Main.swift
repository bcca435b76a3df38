import AddOnFiles
import Hummingbird
import ServiceKit
import Store

/// The HTTP API: people and photos come in, jobs go to the queues, results come out.
///
/// Writes people, photos, jobs and tasks to Postgres, each with the messages it owes to the broker; publishes these
/// (`OutboxRelay`) and gives back the tasks of workers that went silent (`TaskSweeper`). Consumes nothing.
@main
enum GatewayService {
    static func main() async {
        await runService("gateway") { resources in
            let settings = try GatewaySettings.environment()
            // A request should not wait for Postgres as long as a worker does: it answers 503 instead.
            let database = Database(
                url: resources.settings.postgresURL, connections: 8, patience: .seconds(3), logger: resources.logger)
            let counters = try BrokerCounters(
                url: settings.managementURL, amqp: resources.settings.amqpURL, logger: resources.logger)
            let routes =
                PeopleRoutes(database: database, objects: resources.objects).routes
                + JobRoutes(
                    database: database, objects: resources.objects,
                    addOns: AddOnFiles(models: resources.settings.models)
                ).routes
                + TrainingRoutes(database: database).routes
                + ObjectRoutes(objects: resources.objects).routes
                + StatusRoutes(
                    database: database, broker: resources.broker, counters: counters, registry: resources.metrics
                ).routes
            let server = Application(
                router: makeRouter(routes),
                configuration: .init(address: .hostname(settings.host, port: settings.port), serverName: "likeness"),
                logger: resources.logger)
            return [database, OutboxRelay(resources), TaskSweeper(resources), server]
        }
    }
}
