extension Method {
    package init(decoding payload: UnsafeRawBufferPointer) throws(FrameError) {
        var cursor = Cursor(payload)
        let classID = try cursor.uint16()
        let methodID = try cursor.uint16()
        switch (classID, methodID) {
        case (10, 10): self = .connectionStart(try ConnectionStart(from: &cursor))
        case (10, 11): self = .connectionStartOk(try ConnectionStartOk(from: &cursor))
        case (10, 20): self = .connectionSecure(try ConnectionSecure(from: &cursor))
        case (10, 21): self = .connectionSecureOk(try ConnectionSecureOk(from: &cursor))
        case (10, 30): self = .connectionTune(try ConnectionTune(from: &cursor))
        case (10, 31): self = .connectionTuneOk(try ConnectionTuneOk(from: &cursor))
        case (10, 40): self = .connectionOpen(try ConnectionOpen(from: &cursor))
        case (10, 41):
            _ = try cursor.shortOctets()
            self = .connectionOpenOk
        case (10, 50): self = .connectionClose(try ConnectionClose(from: &cursor))
        case (10, 51): self = .connectionCloseOk
        case (10, 60): self = .connectionBlocked(try ConnectionBlocked(from: &cursor))
        case (10, 61): self = .connectionUnblocked
        case (10, 70): self = .connectionUpdateSecret(try ConnectionUpdateSecret(from: &cursor))
        case (10, 71): self = .connectionUpdateSecretOk
        case (20, 10):
            _ = try cursor.shortOctets()
            self = .channelOpen
        case (20, 11):
            _ = try cursor.longOctets()
            self = .channelOpenOk
        case (20, 20): self = .channelFlow(try ChannelFlow(from: &cursor))
        case (20, 21): self = .channelFlowOk(try ChannelFlowOk(from: &cursor))
        case (20, 40): self = .channelClose(try ChannelClose(from: &cursor))
        case (20, 41): self = .channelCloseOk
        case (40, 10): self = .exchangeDeclare(try ExchangeDeclare(from: &cursor))
        case (40, 11): self = .exchangeDeclareOk
        case (40, 20): self = .exchangeDelete(try ExchangeDelete(from: &cursor))
        case (40, 21): self = .exchangeDeleteOk
        case (40, 30): self = .exchangeBind(try ExchangeBind(from: &cursor))
        case (40, 31): self = .exchangeBindOk
        case (40, 40): self = .exchangeUnbind(try ExchangeUnbind(from: &cursor))
        case (40, 51): self = .exchangeUnbindOk
        case (50, 10): self = .queueDeclare(try QueueDeclare(from: &cursor))
        case (50, 11): self = .queueDeclareOk(try QueueDeclareOk(from: &cursor))
        case (50, 20): self = .queueBind(try QueueBind(from: &cursor))
        case (50, 21): self = .queueBindOk
        case (50, 30): self = .queuePurge(try QueuePurge(from: &cursor))
        case (50, 31): self = .queuePurgeOk(try QueuePurgeOk(from: &cursor))
        case (50, 40): self = .queueDelete(try QueueDelete(from: &cursor))
        case (50, 41): self = .queueDeleteOk(try QueueDeleteOk(from: &cursor))
        case (50, 50): self = .queueUnbind(try QueueUnbind(from: &cursor))
        case (50, 51): self = .queueUnbindOk
        case (60, 10): self = .basicQos(try BasicQos(from: &cursor))
        case (60, 11): self = .basicQosOk
        case (60, 20): self = .basicConsume(try BasicConsume(from: &cursor))
        case (60, 21): self = .basicConsumeOk(try BasicConsumeOk(from: &cursor))
        case (60, 30): self = .basicCancel(try BasicCancel(from: &cursor))
        case (60, 31): self = .basicCancelOk(try BasicCancelOk(from: &cursor))
        case (60, 40): self = .basicPublish(try BasicPublish(from: &cursor))
        case (60, 50): self = .basicReturn(try BasicReturn(from: &cursor))
        case (60, 60): self = .basicDeliver(try BasicDeliver(from: &cursor))
        case (60, 70): self = .basicGet(try BasicGet(from: &cursor))
        case (60, 71): self = .basicGetOk(try BasicGetOk(from: &cursor))
        case (60, 72):
            _ = try cursor.shortOctets()
            self = .basicGetEmpty
        case (60, 80): self = .basicAck(try BasicAck(from: &cursor))
        case (60, 90): self = .basicReject(try BasicReject(from: &cursor))
        case (60, 110): self = .basicRecover(try BasicRecover(from: &cursor))
        case (60, 111): self = .basicRecoverOk
        case (60, 120): self = .basicNack(try BasicNack(from: &cursor))
        case (85, 10): self = .confirmSelect(try ConfirmSelect(from: &cursor))
        case (85, 11): self = .confirmSelectOk
        case (90, 10): self = .txSelect
        case (90, 11): self = .txSelectOk
        case (90, 20): self = .txCommit
        case (90, 21): self = .txCommitOk
        case (90, 30): self = .txRollback
        case (90, 31): self = .txRollbackOk
        default: throw .unknownMethod(classID: classID, methodID: methodID)
        }
        try cursor.end()
    }

    package func encode(into output: inout [UInt8]) throws(FrameError) {
        output.appendInteger(id.classID)
        output.appendInteger(id.methodID)
        switch self {
        case .connectionStart(let method): try method.encode(into: &output)
        case .connectionStartOk(let method): try method.encode(into: &output)
        case .connectionSecure(let method): method.encode(into: &output)
        case .connectionSecureOk(let method): method.encode(into: &output)
        case .connectionTune(let method): method.encode(into: &output)
        case .connectionTuneOk(let method): method.encode(into: &output)
        case .connectionOpen(let method): try method.encode(into: &output)
        case .connectionOpenOk: output.append(0)
        case .connectionClose(let method): try method.encode(into: &output)
        case .connectionBlocked(let method): try method.encode(into: &output)
        case .connectionUpdateSecret(let method): try method.encode(into: &output)
        case .channelOpen: output.append(0)
        case .channelOpenOk: output.appendInteger(UInt32(0))
        case .channelFlow(let method): method.encode(into: &output)
        case .channelFlowOk(let method): method.encode(into: &output)
        case .channelClose(let method): try method.encode(into: &output)
        case .exchangeDeclare(let method): try method.encode(into: &output)
        case .exchangeDelete(let method): try method.encode(into: &output)
        case .exchangeBind(let method): try method.encode(into: &output)
        case .exchangeUnbind(let method): try method.encode(into: &output)
        case .queueDeclare(let method): try method.encode(into: &output)
        case .queueDeclareOk(let method): try method.encode(into: &output)
        case .queueBind(let method): try method.encode(into: &output)
        case .queuePurge(let method): try method.encode(into: &output)
        case .queuePurgeOk(let method): method.encode(into: &output)
        case .queueDelete(let method): try method.encode(into: &output)
        case .queueDeleteOk(let method): method.encode(into: &output)
        case .queueUnbind(let method): try method.encode(into: &output)
        case .basicQos(let method): method.encode(into: &output)
        case .basicConsume(let method): try method.encode(into: &output)
        case .basicConsumeOk(let method): try method.encode(into: &output)
        case .basicCancel(let method): try method.encode(into: &output)
        case .basicCancelOk(let method): try method.encode(into: &output)
        case .basicPublish(let method): try method.encode(into: &output)
        case .basicReturn(let method): try method.encode(into: &output)
        case .basicDeliver(let method): try method.encode(into: &output)
        case .basicGet(let method): try method.encode(into: &output)
        case .basicGetOk(let method): try method.encode(into: &output)
        case .basicGetEmpty: output.append(0)
        case .basicAck(let method): method.encode(into: &output)
        case .basicReject(let method): method.encode(into: &output)
        case .basicRecover(let method): method.encode(into: &output)
        case .basicNack(let method): method.encode(into: &output)
        case .confirmSelect(let method): method.encode(into: &output)
        case .connectionCloseOk, .connectionUnblocked, .connectionUpdateSecretOk, .channelCloseOk, .exchangeDeclareOk,
            .exchangeDeleteOk, .exchangeBindOk, .exchangeUnbindOk, .queueBindOk, .queueUnbindOk, .basicQosOk,
            .basicRecoverOk, .confirmSelectOk, .txSelect, .txSelectOk, .txCommit, .txCommitOk, .txRollback,
            .txRollbackOk:
            break
        }
    }

    /// The numbers of the class and of the method in it.
    package var id: (classID: UInt16, methodID: UInt16) {
        switch self {
        case .connectionStart: (10, 10)
        case .connectionStartOk: (10, 11)
        case .connectionSecure: (10, 20)
        case .connectionSecureOk: (10, 21)
        case .connectionTune: (10, 30)
        case .connectionTuneOk: (10, 31)
        case .connectionOpen: (10, 40)
        case .connectionOpenOk: (10, 41)
        case .connectionClose: (10, 50)
        case .connectionCloseOk: (10, 51)
        case .connectionBlocked: (10, 60)
        case .connectionUnblocked: (10, 61)
        case .connectionUpdateSecret: (10, 70)
        case .connectionUpdateSecretOk: (10, 71)
        case .channelOpen: (20, 10)
        case .channelOpenOk: (20, 11)
        case .channelFlow: (20, 20)
        case .channelFlowOk: (20, 21)
        case .channelClose: (20, 40)
        case .channelCloseOk: (20, 41)
        case .exchangeDeclare: (40, 10)
        case .exchangeDeclareOk: (40, 11)
        case .exchangeDelete: (40, 20)
        case .exchangeDeleteOk: (40, 21)
        case .exchangeBind: (40, 30)
        case .exchangeBindOk: (40, 31)
        case .exchangeUnbind: (40, 40)
        case .exchangeUnbindOk: (40, 51)
        case .queueDeclare: (50, 10)
        case .queueDeclareOk: (50, 11)
        case .queueBind: (50, 20)
        case .queueBindOk: (50, 21)
        case .queuePurge: (50, 30)
        case .queuePurgeOk: (50, 31)
        case .queueDelete: (50, 40)
        case .queueDeleteOk: (50, 41)
        case .queueUnbind: (50, 50)
        case .queueUnbindOk: (50, 51)
        case .basicQos: (60, 10)
        case .basicQosOk: (60, 11)
        case .basicConsume: (60, 20)
        case .basicConsumeOk: (60, 21)
        case .basicCancel: (60, 30)
        case .basicCancelOk: (60, 31)
        case .basicPublish: (60, 40)
        case .basicReturn: (60, 50)
        case .basicDeliver: (60, 60)
        case .basicGet: (60, 70)
        case .basicGetOk: (60, 71)
        case .basicGetEmpty: (60, 72)
        case .basicAck: (60, 80)
        case .basicReject: (60, 90)
        case .basicRecover: (60, 110)
        case .basicRecoverOk: (60, 111)
        case .basicNack: (60, 120)
        case .confirmSelect: (85, 10)
        case .confirmSelectOk: (85, 11)
        case .txSelect: (90, 10)
        case .txSelectOk: (90, 11)
        case .txCommit: (90, 20)
        case .txCommitOk: (90, 21)
        case .txRollback: (90, 30)
        case .txRollbackOk: (90, 31)
        }
    }

    /// The standard's name of the method, for messages.
    package var name: String {
        switch self {
        case .connectionStart: "connection.start"
        case .connectionStartOk: "connection.start-ok"
        case .connectionSecure: "connection.secure"
        case .connectionSecureOk: "connection.secure-ok"
        case .connectionTune: "connection.tune"
        case .connectionTuneOk: "connection.tune-ok"
        case .connectionOpen: "connection.open"
        case .connectionOpenOk: "connection.open-ok"
        case .connectionClose: "connection.close"
        case .connectionCloseOk: "connection.close-ok"
        case .connectionBlocked: "connection.blocked"
        case .connectionUnblocked: "connection.unblocked"
        case .connectionUpdateSecret: "connection.update-secret"
        case .connectionUpdateSecretOk: "connection.update-secret-ok"
        case .channelOpen: "channel.open"
        case .channelOpenOk: "channel.open-ok"
        case .channelFlow: "channel.flow"
        case .channelFlowOk: "channel.flow-ok"
        case .channelClose: "channel.close"
        case .channelCloseOk: "channel.close-ok"
        case .exchangeDeclare: "exchange.declare"
        case .exchangeDeclareOk: "exchange.declare-ok"
        case .exchangeDelete: "exchange.delete"
        case .exchangeDeleteOk: "exchange.delete-ok"
        case .exchangeBind: "exchange.bind"
        case .exchangeBindOk: "exchange.bind-ok"
        case .exchangeUnbind: "exchange.unbind"
        case .exchangeUnbindOk: "exchange.unbind-ok"
        case .queueDeclare: "queue.declare"
        case .queueDeclareOk: "queue.declare-ok"
        case .queueBind: "queue.bind"
        case .queueBindOk: "queue.bind-ok"
        case .queuePurge: "queue.purge"
        case .queuePurgeOk: "queue.purge-ok"
        case .queueDelete: "queue.delete"
        case .queueDeleteOk: "queue.delete-ok"
        case .queueUnbind: "queue.unbind"
        case .queueUnbindOk: "queue.unbind-ok"
        case .basicQos: "basic.qos"
        case .basicQosOk: "basic.qos-ok"
        case .basicConsume: "basic.consume"
        case .basicConsumeOk: "basic.consume-ok"
        case .basicCancel: "basic.cancel"
        case .basicCancelOk: "basic.cancel-ok"
        case .basicPublish: "basic.publish"
        case .basicReturn: "basic.return"
        case .basicDeliver: "basic.deliver"
        case .basicGet: "basic.get"
        case .basicGetOk: "basic.get-ok"
        case .basicGetEmpty: "basic.get-empty"
        case .basicAck: "basic.ack"
        case .basicReject: "basic.reject"
        case .basicRecover: "basic.recover"
        case .basicRecoverOk: "basic.recover-ok"
        case .basicNack: "basic.nack"
        case .confirmSelect: "confirm.select"
        case .confirmSelectOk: "confirm.select-ok"
        case .txSelect: "tx.select"
        case .txSelectOk: "tx.select-ok"
        case .txCommit: "tx.commit"
        case .txCommitOk: "tx.commit-ok"
        case .txRollback: "tx.rollback"
        case .txRollbackOk: "tx.rollback-ok"
        }
    }
}
