import CRabbitMQ
import Foundation

/// Why a call on a connection failed.
enum WireError: Error {
    /// The connection is of no more use.
    case connection(String)
    /// The broker closed the channel; the connection lives on.
    case channel(code: Int, text: String)
}

/// One AMQP connection of librabbitmq, in Swift's types. It may be used by one thread only.
///
/// Calls that need an answer (declare, consume, …) wait for it, at most `patience`; frames for others that arrive in
/// between are kept by librabbitmq and come out of ``nextFrame()`` later. Heartbeats are sent and watched within these
/// calls and within ``nextFrame()``, so the thread has to come back to it several times in each heartbeat interval.
final class Wire {
    private static let patience = timeval(tv_sec: 10, tv_usec: 0)
    private let state: amqp_connection_state_t

    /// Connects and logs in.
    init(_ address: BrokerAddress, name: String, heartbeat: Duration) throws {
        guard let state = amqp_new_connection() else { throw WireError.connection("out of memory") }
        self.state = state  // from here on deinit frees it, also when something below throws
        let socket = try Self.makeSocket(state, address.tls)
        var patience = Self.patience
        try check(amqp_set_handshake_timeout(state, &patience))
        try check(amqp_set_rpc_timeout(state, &patience))
        try check(amqp_socket_open_noblock(socket, address.host, Int32(address.port), &patience))
        let login = withScratch { scratch in
            var properties = scratch.table([
                "product": .string("Likeness"), "connection_name": .string(name),
                "capabilities": .table([
                    "publisher_confirms": .bool(true), "basic.nack": .bool(true),
                    "consumer_cancel_notify": .bool(true), "connection.blocked": .bool(true),
                    "authentication_failure_close": .bool(true),
                ]),
            ])
            return amqp_login_plain(
                state, address.virtualHost, AMQP_DEFAULT_FRAME_SIZE, Int32(heartbeat.components.seconds), &properties,
                address.user, address.password)
        }
        try check(login)
    }

    private static func makeSocket(
        _ state: amqp_connection_state_t, _ tls: BrokerAddress.TLS?
    ) throws -> OpaquePointer {
        guard let tls else {
            guard let socket = amqp_tcp_socket_new(state) else { throw WireError.connection("out of memory") }
            return socket
        }
        guard let socket = amqp_ssl_socket_new(state) else { throw WireError.connection("TLS is not available") }
        amqp_ssl_socket_set_verify_peer(socket, tls.verifiesPeer ? 1 : 0)
        amqp_ssl_socket_set_verify_hostname(socket, tls.verifiesPeer ? 1 : 0)
        if tls.verifiesPeer, amqp_ssl_socket_set_cacert(socket, tls.authorities) != 0 {
            throw WireError.connection("cannot read the certificate authorities in \(tls.authorities) (cacertfile)")
        }
        if let certificate = tls.certificate, let key = tls.key,
            amqp_ssl_socket_set_key(socket, certificate, key) != 0
        {
            throw WireError.connection("cannot read the client certificate \(certificate) and its key \(key)")
        }
        return socket
    }

    deinit { amqp_destroy_connection(state) }

    /// To be polled for input once ``nextFrame()`` has returned nil.
    var fileDescriptor: Int32 { amqp_get_sockfd(state) }
    /// Input that librabbitmq has read already, which poll(2) knows nothing of.
    var hasBufferedInput: Bool { amqp_frames_enqueued(state) != 0 || amqp_data_in_buffer(state) != 0 }

    // MARK: Channels

    func openChannel(_ channel: UInt16) throws {
        amqp_channel_open(state, channel)
        try checkReply()
    }

    func closeChannel(_ channel: UInt16) throws { try check(amqp_channel_close(state, channel, AMQP_REPLY_SUCCESS)) }

    /// Answers the broker's channel.close, after which the number may be used again.
    func agreeToClose(_ channel: UInt16) throws {
        var method = amqp_channel_close_ok_t()
        try check(amqp_send_method(state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &method))
    }

    /// Says goodbye; the connection is of no use afterwards, however it ends.
    func close() throws { try check(amqp_connection_close(state, AMQP_REPLY_SUCCESS)) }

    // MARK: Declaring

    func declare(_ exchange: Topology.Exchange, on channel: UInt16) throws {
        withScratch {
            _ = amqp_exchange_declare(
                state, channel, $0.bytes(exchange.name), $0.bytes(exchange.kind.rawValue), 0, 1, 0, 0, amqp_empty_table)
        }
        try checkReply()
    }

    func declare(_ queue: Topology.Queue, on channel: UInt16) throws {
        withScratch {
            _ = amqp_queue_declare(state, channel, $0.bytes(queue.name), 0, 1, 0, 0, $0.table(queue.arguments))
        }
        try checkReply()
    }

    func declare(_ binding: Topology.Binding, on channel: UInt16) throws {
        withScratch {
            _ = amqp_queue_bind(
                state, channel, $0.bytes(binding.queue), $0.bytes(binding.exchange), $0.bytes(binding.routingKey),
                amqp_empty_table)
        }
        try checkReply()
    }

    /// Asks for the queue without making it; the broker closes the channel (404) where there is none.
    func status(of queue: String, on channel: UInt16) throws -> QueueStatus {
        let answer = withScratch {
            amqp_queue_declare(state, channel, $0.bytes(queue), 1, 0, 0, 0, amqp_empty_table)
        }
        guard let answer else {
            try checkReply()
            throw WireError.connection("no answer about queue '\(queue)'")
        }
        return QueueStatus(messages: Int(answer.pointee.message_count), consumers: Int(answer.pointee.consumer_count))
    }

    // MARK: Publishing and consuming

    func selectConfirms(on channel: UInt16) throws {
        amqp_confirm_select(state, channel)
        try checkReply()
    }

    func publish(_ message: OutgoingMessage, on channel: UInt16) throws {
        let status = withScratch { scratch in
            var properties = amqp_basic_properties_t()
            properties._flags = UInt32(
                AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG)
            properties.content_type = scratch.bytes("application/json")
            properties.delivery_mode = 2  // persistent
            properties.message_id = scratch.bytes(message.messageID)
            return amqp_basic_publish(
                state, channel, scratch.bytes(message.exchange), scratch.bytes(message.routingKey), 1, 0, &properties,
                scratch.bytes(message.body))
        }
        try check(status)
    }

    func limitUnsettled(to count: UInt16, on channel: UInt16) throws {
        amqp_basic_qos(state, channel, 0, count, 0)
        try checkReply()
    }

    func consume(_ queue: String, tag: String, on channel: UInt16) throws {
        withScratch {
            _ = amqp_basic_consume(state, channel, $0.bytes(queue), $0.bytes(tag), 0, 0, 0, amqp_empty_table)
        }
        try checkReply()
    }

    func cancel(tag: String, on channel: UInt16) throws {
        withScratch { _ = amqp_basic_cancel(state, channel, $0.bytes(tag)) }
        try checkReply()
    }

    func settle(_ tag: UInt64, _ verdict: Verdict, on channel: UInt16) throws {
        switch verdict {
        case .ack: try check(amqp_basic_ack(state, channel, tag, 0))
        case .requeue: try check(amqp_basic_nack(state, channel, tag, 0, 1))
        case .deadLetter: try check(amqp_basic_nack(state, channel, tag, 0, 0))
        }
    }

    // MARK: Receiving

    /// The next frame that has arrived; nil when there is none at the moment. Also sends a heartbeat when one is due and
    /// fails when the broker has been silent for two intervals.
    func nextFrame() throws -> Frame? {
        var frame = amqp_frame_t()
        var none = timeval()
        let status = amqp_simple_wait_frame_noblock(state, &frame, &none)
        if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
        try check(status)
        // The frame's strings and tables lie in librabbitmq's pools, which may be reused once all is copied.
        defer { amqp_maybe_release_buffers(state) }
        return Frame(frame)
    }

    // MARK: Errors

    private func checkReply() throws { try check(amqp_get_rpc_reply(state)) }

    private func check(_ status: Int32) throws {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw WireError.connection(String(cString: amqp_error_string2(status)))
    }

    private func check(_ reply: amqp_rpc_reply_t) throws {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_LIBRARY_EXCEPTION:
            throw WireError.connection(String(cString: amqp_error_string2(reply.library_error)))
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            switch Frame.Method(reply.reply) {
            case .channelClose(let code, let text): throw WireError.channel(code: code, text: text)
            case .connectionClose(let code, let text): throw WireError.connection("\(text) (\(code))")
            default: throw WireError.connection("the broker answered with method \(reply.reply.id)")
            }
        default: throw WireError.connection("the broker closed the connection")
        }
    }
}
