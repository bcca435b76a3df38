import Messaging
import Testing

@Suite struct BrokerAddressTests {
    @Test func readsEveryPart() throws {
        let address = try BrokerAddress(url: "amqp://anna:s%3Acret@queue.example:5673/green%2Fhouse")
        #expect(address.host == "queue.example")
        #expect(address.port == 5673)
        #expect(address.user == "anna")
        #expect(address.password == "s:cret")
        #expect(address.virtualHost == "green/house")
        #expect(address.tls == nil)
    }

    @Test(arguments: ["amqp://h", "amqp://h/", "amqp://h/%2F", "amqp://guest:guest@h:5672/"])
    func fillsInDefaults(url: String) throws {
        let address = try BrokerAddress(url: url)
        #expect(address.port == 5672)
        #expect(address.user == "guest")
        #expect(address.password == "guest")
        #expect(address.virtualHost == "/")
    }

    @Test func readsTLS() throws {
        let plain = try BrokerAddress(url: "amqps://h")
        #expect(plain.port == 5671)
        #expect(plain.tls == BrokerAddress.TLS())
        let full = try BrokerAddress(
            url: "amqps://h/?cacertfile=/ca.pem&certfile=/me.pem&keyfile=/me.key&verify=verify_none")
        #expect(full.tls?.authorities == "/ca.pem")
        #expect(full.tls?.certificate == "/me.pem")
        #expect(full.tls?.key == "/me.key")
        #expect(full.tls?.verifiesPeer == false)
    }

    @Test(arguments: [
        ("http://h", "amqp://"), ("localhost:5672", "amqp://"), ("amqp:///v", "host"), ("amqp://h:99999", "99999"),
        ("amqp://h/a/b", "%2F"), ("amqp://h/?verify=verify_peer", "amqps"), ("amqps://h/?verify=maybe", "maybe"),
        ("amqps://h/?colour=green", "colour"), ("amqps://h/?certfile=/me.pem", "keyfile"),
    ])
    func saysWhatIsWrong(url: String, hint: String) throws {
        let error = #expect(throws: BrokerError.self) { try BrokerAddress(url: url) }
        #expect(error?.description.contains(hint) == true)
        #expect(error?.description.contains(url) == true)
    }

    @Test func neverShowsThePassword() throws {
        let address = try BrokerAddress(url: "amqp://anna:secret@h/v")
        #expect("\(address)" == "amqp://anna@h:5672/v")
        let error = #expect(throws: BrokerError.self) { try BrokerAddress(url: "amqp://anna:sec@ret@h:0/v") }
        #expect(error?.description.contains("anna:***@h") == true)
        #expect(error?.description.contains("ret") == false)
    }
}
