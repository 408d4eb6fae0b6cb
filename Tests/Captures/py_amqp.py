"""Has py-amqp say everything to the broker of RABBITMQ_URL; recorded by Scripts/record-amqp.py."""
import datetime
import decimal
import os
import socket
import urllib.parse

import amqp

url = urllib.parse.urlsplit(os.environ["RABBITMQ_URL"])
HOST = f"{url.hostname}:{url.port}"


def connect(**options):
    connection = amqp.Connection(HOST, userid=url.username, password=url.password, **options)
    connection.connect()
    return connection


def drain(connection):
    try:
        connection.drain_events(timeout=0.3)
    except socket.timeout:
        pass


def topology():
    connection = connect()
    channel = connection.channel()
    channel.exchange_declare("capture.a", "topic", durable=True, auto_delete=False)
    channel.exchange_declare("capture.b", "fanout", auto_delete=True, arguments={"alternate-exchange": "capture.a"})
    channel.exchange_bind("capture.b", "capture.a", "#")
    channel.exchange_unbind("capture.b", "capture.a", "#")
    queue, _, _ = channel.queue_declare("capture.q", durable=True, auto_delete=False, arguments={"x-max-length": 100})
    own, _, _ = channel.queue_declare("", exclusive=True)
    channel.queue_bind(queue, "capture.a", "k.*", arguments={"x": "y"})
    channel.queue_unbind(queue, "capture.a", "k.*", arguments={"x": "y"})
    channel.queue_declare(queue, passive=True)
    channel.queue_purge(queue)
    channel.queue_delete(own)
    channel.queue_delete(queue, if_empty=True)
    channel.exchange_delete("capture.a")
    channel.exchange_delete("capture.b")
    channel.basic_qos(0, 10, False)
    channel.flow(True)
    channel.close()
    connection.close()


def messages():
    connection = connect(confirm_publish=True)
    channel = connection.channel()
    queue, _, _ = channel.queue_declare("capture.m", durable=True, auto_delete=False)
    message = amqp.Message(
        b"\x00\x01\xff" * 5,
        content_type="application/x-test",
        content_encoding="binary",
        application_headers={
            "string": "text \u00e9",
            "octets": b"\xff\xfe",
            "true": True,
            "small": -5,
            "large": 1 << 40,
            "decimal": decimal.Decimal("-3.14"),
            "time": datetime.datetime(2024, 2, 29, 12, 0, 0),
            "table": {"deep": {"deeper": [1, "two", None]}},
            "double": 1.5,
            "none": None,
        },
        delivery_mode=2,
        priority=3,
        correlation_id="c-1",
        reply_to="answers",
        expiration="60000",
        message_id="m-1",
        timestamp=1_709_208_000,
        type="kind",
        user_id=url.username,
        app_id="captures",
        cluster_id="",
    )
    channel.basic_publish_confirm(message, exchange="", routing_key=queue)
    channel.basic_publish_confirm(amqp.Message(b""), exchange="", routing_key=queue)
    channel.basic_publish_confirm(amqp.Message(b"x" * 3000), exchange="", routing_key=queue)
    try:
        channel.basic_publish_confirm(amqp.Message(b"lost"), exchange="", routing_key="capture.none", mandatory=True)
    except amqp.AMQPError:
        pass
    got = channel.basic_get(queue)
    channel.basic_reject(got.delivery_tag, requeue=True)
    seen = []
    tag = channel.basic_consume(queue, callback=seen.append)
    while len(seen) < 3:
        drain(connection)
    channel.basic_ack(seen[0].delivery_tag)
    channel.basic_recover(requeue=True)
    while len(seen) < 5:
        drain(connection)
    channel.basic_ack(seen[-1].delivery_tag, multiple=True)
    channel.basic_cancel(tag)
    channel.basic_get(queue)
    channel.queue_delete(queue)
    channel.close()
    connection.close()


def transactions():
    connection = connect()
    channel = connection.channel()
    queue, _, _ = channel.queue_declare("", exclusive=True)
    channel.tx_select()
    channel.basic_publish(amqp.Message(b"kept"), routing_key=queue)
    channel.tx_commit()
    channel.basic_publish(amqp.Message(b"dropped"), routing_key=queue)
    channel.tx_rollback()
    connection.close()


def errors():
    connection = connect()
    for provoke in (
        lambda channel: channel.queue_declare("capture.missing", passive=True),
        lambda channel: channel.exchange_declare("amq.direct", "fanout", durable=True, auto_delete=False),
        lambda channel: (channel.basic_ack(99), channel.basic_get("capture.missing")),
    ):
        try:
            provoke(connection.channel())
        except amqp.AMQPError:
            pass
    channel = connection.channel()
    queue, _, _ = channel.queue_declare("capture.cancelled", auto_delete=False)
    channel.basic_consume(queue, callback=print)
    other = connection.channel()
    try:
        other.queue_delete(queue)
        drain(connection)
    except amqp.AMQPError:
        pass
    connection.close()
    refused = amqp.Connection(HOST, userid=url.username, password="wrong")
    try:
        refused.connect()
    except (amqp.AMQPError, OSError):
        pass
    missing = amqp.Connection(HOST, userid=url.username, password=url.password, virtual_host="missing")
    try:
        missing.connect()
    except (amqp.AMQPError, OSError):
        pass


def blocked():
    """An alarm, which RABBITMQCTL, a command, sets off and ends."""
    said = []
    connection = connect(on_blocked=said.append, on_unblocked=lambda: said.append(None))
    channel = connection.channel()
    for limit in ("0.0000001", "0.4"):
        os.system(f"{os.environ['RABBITMQCTL']} set_vm_memory_high_watermark {limit} >&2")
        count = len(said)
        channel.basic_publish(amqp.Message(b"blocked"), routing_key="capture.none")
        while len(said) == count:
            drain(connection)
    connection.close()


topology()
messages()
transactions()
errors()
if "RABBITMQCTL" in os.environ:
    blocked()
