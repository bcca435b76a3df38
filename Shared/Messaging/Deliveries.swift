/// The deliveries of one subscription, as they come.
///
/// The sequence outlives the connection: after a reconnect it goes on with what the new one delivers. Several tasks may
/// iterate it, each delivery goes to one of them. Iteration ends when its task is cancelled, after ``stop()``, or when
/// the broker connection is closed. Dropping the last reference ends the subscription; what was not settled goes back
/// to the queue.
public final class Deliveries: AsyncSequence, Sendable {
    private let subscription: Subscription
    private let mailbox: Mailbox

    init(_ subscription: Subscription, mailbox: Mailbox) {
        (self.subscription, self.mailbox) = (subscription, mailbox)
    }

    deinit { mailbox.post(.abandon(subscription)) }

    /// Ends the subscription in an orderly way: the broker sends no more, deliveries that nobody has taken out of the
    /// sequence go back to the queue at once, those that were taken out can still be settled. Returns when the broker
    /// has agreed, or there is no connection on which to ask it.
    public func stop() async {
        await withCheckedContinuation { reply in
            if !mailbox.post(.stop(subscription, reply)) { reply.resume() }
        }
    }

    /// The next delivery; nil at the end.
    public func next() async -> Delivery? { await subscription.buffer.next() }

    /// Iterates ``Deliveries``.
    public struct Iterator: AsyncIteratorProtocol {
        let deliveries: Deliveries

        /// The next delivery; nil at the end.
        public func next() async -> Delivery? { await deliveries.next() }
    }

    /// Begins to iterate; all iterators share the deliveries.
    public func makeAsyncIterator() -> Iterator { Iterator(deliveries: self) }
}

/// What was asked for, kept over reconnects.
final class Subscription: Sendable {
    let queue: String
    let prefetch: UInt16
    let buffer = DeliveryBuffer()

    init(queue: String, prefetch: UInt16) { (self.queue, self.prefetch) = (queue, prefetch) }
}
