"""The Celery application that the interoperability tests talk to; configured by its environment as the fleet is."""

import datetime
import decimal
import os
import signal
import threading
import time
import uuid

from celery import Celery
from celery.signals import worker_ready
from celery_once import QueueOnce

app = Celery("proj", broker=os.environ["CELERIAC_BROKER_URL"], backend=os.environ["CELERIAC_RESULT_BACKEND"])
app.conf.task_default_queue = os.environ.get("FLEET_QUEUE", "celery")
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
app.conf.result_compression = os.environ.get("PROJ_RESULT_COMPRESSION")
app.conf.result_extended = "PROJ_RESULT_EXTENDED" in os.environ


class OutOfStock(Exception):
    """An error that Swift knows as well."""


def special():
    """Values that have no JSON form of their own."""
    return {
        "date": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
        "octets": b"\xff\xfe",
        "number": decimal.Decimal("1.10"),
    }

app.conf.ONCE = {
    "backend": "celery_once.backends.Redis",
    "settings": {"url": os.environ["CELERIAC_RESULT_BACKEND"], "default_timeout": 600},
}


@app.task(name="proj.add")
def add(x, y):
    return x + y


@app.task(name="proj.greet")
def greet(name, *, greeting="hello"):
    return {"text": f"{greeting}, {name}", "length": len(name)}


@app.task(name="proj.boom")
def boom():
    raise ValueError("boom", 42)


@app.task(name="proj.sell")
def sell(article):
    raise OutOfStock(article, 3)


@app.task(name="proj.steps", bind=True)
def steps(self, total, path):
    """Publishes a call, tells how far it is, and waits until there is a file."""
    add.delay(total, 1)
    self.update_state(state="PROGRESS", meta={"current": total - 1, "total": total})
    while not os.path.exists(path):
        time.sleep(0.02)
    return total


def file_appears(path):
    while path and not os.path.exists(path):
        time.sleep(0.02)


@app.task(name="proj.once", base=QueueOnce)
def once(key, path):
    file_appears(path)
    return key


@app.task(name="proj.once_keyed", base=QueueOnce, once={"keys": ["key"]})
def once_keyed(key, path):
    file_appears(path)
    return key


@app.task(name="proj.once_early", base=QueueOnce, once={"unlock_before_run": True})
def once_early(key, path):
    file_appears(path)
    return key


@worker_ready.connect
def ready(**_):
    """Says so, and from now on ends together with the test that started this worker."""
    parent = int(os.environ["FLEET_PARENT"])

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    print("python worker is ready", flush=True)
