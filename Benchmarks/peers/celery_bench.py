"""Python Celery as a contestant: publish, drain, drain-results, roundtrip. One JSON line each.

    celery_bench.py publish|drain|drain-results|roundtrip --count N

RABBITMQ_URL and REDIS_URL name the servers. Works on a queue of its own and leaves it empty.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from celery import Celery, signals
from celery.worker.request import Request

QUEUE = "celeriac.bench.celery"
CONCURRENCY = 2
PREFETCH = 100
WARM_UP = 50

# What the worker process is told by the one that measures it.
MEASURE = os.environ.get("CELERY_BENCH_MEASURE")
REPORT = os.environ.get("CELERY_BENCH_REPORT")
EXPECTED = int(os.environ.get("CELERY_BENCH_EXPECTED", "0"))

app = Celery("celery_bench", broker=os.environ["RABBITMQ_URL"])
app.conf.update(
    result_backend=os.environ["REDIS_URL"] if MEASURE in ("drain-results", "roundtrip") else None,
    task_default_queue=QUEUE,
    task_acks_late=True,
    worker_concurrency=CONCURRENCY,
    worker_prefetch_multiplier=PREFETCH // CONCURRENCY,
    worker_disable_rate_limits=True,
    broker_connection_retry_on_startup=True,
    # The default for a publish; filling a queue that nobody measures does without.
    broker_transport_options={"confirm_publish": MEASURE != "fill"},
)


def processor_seconds():
    """Of this process and its living children, pool processes of the worker."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = time.process_time()
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        for child in children.read().split():
            with open(f"/proc/{child}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


class CountingRequest(Request):
    """Notes in the worker's parent process when the last delivery is acknowledged."""

    seen = 0
    started = None

    def acknowledge(self):
        super().acknowledge()
        CountingRequest.seen += 1
        if CountingRequest.seen == EXPECTED and REPORT:
            began, processor = CountingRequest.started
            write_report(
                {"seconds": time.monotonic() - began, "processor": processor_seconds() - processor}
            )


def write_report(report):
    with open(REPORT + ".partial", "w") as file:
        json.dump(report, file)
    os.rename(REPORT + ".partial", REPORT)


@app.task(name="bench.noop", Request=f"{__name__}:CountingRequest" if __name__ != "__main__" else None)
def noop():
    return None


@signals.worker_ready.connect
def consumption_starts(**_):
    CountingRequest.started = (time.monotonic(), processor_seconds())
    if REPORT and EXPECTED == 0:
        write_report({"ready": True})


# What follows runs in the measuring process only.


def purge():
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[QUEUE](connection.default_channel)
        queue.declare()
        queue.purge()


def environment(measure, **more):
    return {**os.environ, "CELERY_BENCH_MEASURE": measure, "PYTHONPATH": os.path.dirname(__file__), **more}


def publish(count):
    purge()
    noop.delay()
    processor, start = time.process_time(), time.perf_counter()
    for _ in range(count):
        noop.delay()
    seconds = time.perf_counter() - start
    cost = time.process_time() - processor
    purge()
    return {"seconds": seconds, "rate": count / seconds, "cpu_us": cost * 1e6 / count}


class Worker:
    """A worker process that ends with the block, and a directory for its report and its log."""

    def __init__(self, measure, expected):
        self.directory = tempfile.TemporaryDirectory()
        self.report = os.path.join(self.directory.name, "report")
        self.log = os.path.join(self.directory.name, "log")
        with open(self.log, "w") as log:
            self.process = start_worker(measure, expected, self.report, log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.directory.cleanup()

    def await_report(self, seconds):
        deadline = time.monotonic() + seconds
        while not os.path.exists(self.report):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log) as log:
                    sys.exit(f"celery_bench: the worker did not finish\n{log.read()}")
            time.sleep(0.02)
        with open(self.report) as file:
            return json.load(file)


def start_worker(measure, expected, report, log):
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "celery_bench", "worker", "--pool", "prefork"]
    command += ["--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return subprocess.Popen(
        command,
        env=environment(measure, CELERY_BENCH_EXPECTED=str(expected), CELERY_BENCH_REPORT=report),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )


def end(worker):
    if worker.poll() is None:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def drain(measure, count):
    purge()
    subprocess.run(
        [sys.executable, __file__, "fill", "--count", str(count)], env=environment("fill"), check=True
    )
    with Worker(measure, count) as worker:
        report = worker.await_report(30 + count / 100)
    seconds = report["seconds"]
    return {"seconds": seconds, "rate": count / seconds, "cpu_us": report["processor"] * 1e6 / count}


def trips(count):
    for _ in range(WARM_UP):
        noop.delay().get(timeout=10)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        noop.delay().get(timeout=10)
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return {"p50_ms": times[count // 2], "p99_ms": times[count * 99 // 100]}


def roundtrip(count):
    purge()
    with Worker("roundtrip", 0) as worker:
        worker.await_report(30)
        return trips(count)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("measure", choices=["publish", "drain", "drain-results", "roundtrip", "fill"])
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    if given.measure == "fill":
        for _ in range(given.count):
            noop.delay()
        return
    # The configuration depends on the measure and is read when the module is.
    if MEASURE != given.measure:
        os.execve(sys.executable, [sys.executable, *sys.argv], environment(given.measure))
    if given.measure == "publish":
        outcome = publish(given.count)
    elif given.measure == "roundtrip":
        outcome = roundtrip(given.count)
    else:
        outcome = drain(given.measure, given.count)
    line = {"contestant": "celery", "measure": given.measure, "count": given.count}
    line.update({key: round(value, 4) for key, value in outcome.items()})
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
