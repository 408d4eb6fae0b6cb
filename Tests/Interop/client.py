"""One action of a Python client: reads its arguments as JSON from the command line, writes its outcome as JSON."""

import builtins
import json
import sys
import time

import celery.exceptions
import proj
from celery.app.task import Context
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


def call_all(calls, timeout=20):
    """Sends calls from one process and waits for each, as a caller with results by message does."""
    results = [
        app.send_task(call["task"], args=tuple(call.get("args", ())), **call.get("options", {})) for call in calls
    ]
    return {"outcomes": [outcome(result, timeout) for result in results]}


def messages(task, args=(), timeout=20, **options):
    """Sends a call and tells every message about it."""
    seen = []
    result = app.send_task(task, args=tuple(args), **options)
    value = result.get(timeout=timeout, on_message=lambda meta: seen.append({"status": meta["status"]}))
    return {"value": value, "messages": seen}


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


def store(records):
    """Stores records as a worker does, without running anything."""
    for record in records:
        request = dict(record.get("request", {}))
        children = request.pop("children", [])
        context = Context(id=record["id"], **request)
        context.children.extend(app.AsyncResult(child) for child in children)
        app.backend.store_result(
            record["id"],
            exception(**record["error"]) if "error" in record else record.get("result"),
            record["state"],
            traceback=record.get("traceback"),
            request=context,
        )
    return {"stored": len(records)}


def exception(type, args):
    for place in (builtins, celery.exceptions, proj):
        if hasattr(place, type):
            return getattr(place, type)(*args)
    raise LookupError(type)


def store_special(id):
    """Stores values that have no JSON form of their own."""
    app.backend.store_result(id, proj.special(), "SUCCESS", request=Context(id=id))
    return {"stored": id}


def look(ids):
    """Tells everything that AsyncResult knows of tasks."""
    return {"results": [describe(app.AsyncResult(id)) for id in ids]}


def describe(result):
    meta = app.backend.get_task_meta(result.id)
    told = {
        "state": result.state,
        "ready": result.ready(),
        "successful": result.successful(),
        "failed": result.failed(),
        "traceback": result.traceback,
        "children": [child.id for child in result.children or []] if result.ready() else None,
        "date_done": result.date_done.isoformat() if result.date_done else None,
        "name": result.name,
        "args": result.args,
        "kwargs": result.kwargs,
        "worker": result.worker,
        "retries": result.retries,
        "queue": result.queue,
        "group_id": meta.get("group_id"),
        "parent_id": meta.get("parent_id"),
        "ttl": app.backend.client.ttl(app.backend.get_key_for_task(result.id)),
    }
    if isinstance(result.result, BaseException):
        told["error"] = type(result.result).__name__
        told["module"] = type(result.result).__module__
        told["error_args"] = list(result.result.args)
    else:
        told["result"] = result.result
    return told


def collect(id):
    """The values of a task and its descendants, as AsyncResult.collect() gives them."""
    return {"values": [[child.id, value] for child, value in app.AsyncResult(id).collect(timeout=20)]}


def forget(ids):
    """Forgets tasks."""
    for id in ids:
        app.AsyncResult(id).forget()
    return {"forgotten": len(ids)}


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
