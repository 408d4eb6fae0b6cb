"""One action of a Python client: reads its arguments as JSON from the command line, writes its outcome as JSON."""

import json
import sys
import time

import proj
from celery_once import AlreadyQueued
from proj import app


def send(task, args=(), kwargs=None, timeout=20, **options):
    """Sends a call and waits for its outcome, as AsyncResult.get() tells it."""
    result = app.send_task(task, args=tuple(args), kwargs=kwargs or {}, **options)
    return outcome(result, timeout)


def publish(task, args=(), kwargs=None, **options):
    """Sends a call and does not wait."""
    return {"id": app.send_task(task, args=tuple(args), kwargs=kwargs or {}, **options).id}


def once(function, args, graceful=False, **options):
    """Sends a call of a task with celery-once's lock, and does not wait."""
    try:
        result = getattr(proj, function).apply_async(args=tuple(args), once={"graceful": graceful}, **options)
    except AlreadyQueued as refusal:
        return {"refused": refusal.countdown}
    return {"id": result.id, "state": result.state if result.id is None else None}


def get(id, timeout=20):
    """Waits for the outcome of a call made elsewhere."""
    return outcome(app.AsyncResult(id), timeout)


def watch(id, state, timeout=20):
    """Waits until a call is in a state, and tells what AsyncResult knows of it then."""
    result = app.AsyncResult(id)
    deadline = time.monotonic() + timeout
    while result.state != state and time.monotonic() < deadline:
        time.sleep(0.02)
    return {
        "state": result.state,
        "info": result.info,
        # Before the end Celery gives them as it finds them, not as results.
        "children": [child.id for child in result.children or []] if result.ready() else None,
    }


def declare(queue):
    """Declares a queue as every Celery client and worker does, its exchange and binding included."""
    with app.connection_for_write() as connection:
        app.amqp.queues[queue].bind(connection.default_channel).declare()
    return {"declared": queue}


def outcome(result, timeout):
    try:
        value = result.get(timeout=timeout)
    except Exception as error:
        return {
            "id": result.id,
            "state": result.state,
            "error": type(error).__name__,
            "module": type(error).__module__,
            "args": [str(argument) for argument in error.args],
        }
    return {"id": result.id, "state": result.state, "value": value}


if __name__ == "__main__":
    action, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(globals()[action](**arguments)))
