/// Names of all metrics that Likeness itself records, with their labels.
///
/// | name                              | kind      | labels          | meaning                                         |
/// |-----------------------------------|-----------|-----------------|-------------------------------------------------|
/// | likeness_tasks_total              | counter   | stage, outcome  | tasks a worker settled                          |
/// | likeness_task_seconds             | histogram | stage           | claim to commit                                 |
/// | likeness_tasks_running            | gauge     | stage           | tasks being worked on in this process           |
/// | likeness_leases_lost_total        | counter   | stage           | tasks dropped: lease lost or cancelled          |
/// | likeness_leases_expired_total     | counter   |                 | tasks the sweeper gave back to their queue      |
/// | likeness_outbox_published_total   | counter   |                 | outbox rows confirmed by the broker             |
/// | likeness_publishes_total          | counter   | outcome         | publishes: confirmed, unroutable, refused, lost |
/// | likeness_publish_seconds          | histogram |                 | publish to confirm                              |
/// | likeness_deliveries_total         | counter   | queue           | messages received                               |
/// | likeness_stale_settlements_total  | counter   |                 | acks for deliveries of a lost channel           |
/// | likeness_broker_connects_total    | counter   |                 | connections opened to the broker                |
/// | likeness_broker_connected         | gauge     |                 | 1 while connected                               |
public enum Instrument {
    /// Counter; labels `stage` and `outcome`.
    public static let tasks = "likeness_tasks_total"
    /// Histogram of seconds; label `stage`.
    public static let taskSeconds = "likeness_task_seconds"
    /// Gauge; label `stage`.
    public static let tasksRunning = "likeness_tasks_running"
    /// Counter; label `stage`.
    public static let leasesLost = "likeness_leases_lost_total"
    /// Counter.
    public static let leasesExpired = "likeness_leases_expired_total"
    /// Counter.
    public static let outboxPublished = "likeness_outbox_published_total"
    /// Counter; label `outcome`.
    public static let publishes = "likeness_publishes_total"
    /// Histogram of seconds.
    public static let publishSeconds = "likeness_publish_seconds"
    /// Counter; label `queue`.
    public static let deliveries = "likeness_deliveries_total"
    /// Counter.
    public static let staleSettlements = "likeness_stale_settlements_total"
    /// Counter.
    public static let brokerConnects = "likeness_broker_connects_total"
    /// Gauge.
    public static let brokerConnected = "likeness_broker_connected"
}
