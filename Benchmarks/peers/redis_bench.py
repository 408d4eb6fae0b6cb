"""Results in Redis by Python: redis-py in pipelines, and Celery's own result backend. One JSON line each.

    redis_bench.py pipeline-fenced|pipeline-lean|celery --count N [--script FILE]

REDIS_URL names the server; FILE holds the script that Celeriac stores results with.
"""

import argparse
import json
import os
import time
import uuid

import redis
from celery import Celery

URL = os.environ["REDIS_URL"]
BATCH = 1000
TTL = 86400


def document(task):
    return json.dumps(
        {
            "status": "SUCCESS",
            "result": None,
            "traceback": None,
            "children": [],
            "date_done": "2026-01-02T03:04:05.678901+00:00",
            "task_id": task,
        }
    )


def pipelines(count, add):
    client = redis.Redis.from_url(URL)
    client.ping()

    def run():
        for start in range(0, count, BATCH):
            pipeline = client.pipeline(transaction=False)
            for _ in range(min(BATCH, count - start)):
                task = str(uuid.uuid4())
                add(pipeline, f"celery-task-meta-{task}", document(task))
            pipeline.execute()

    return run


def fenced(count, script):
    with open(script) as file:
        digest = redis.Redis.from_url(URL).script_load(file.read())

    def add(pipeline, key, meta):
        pipeline.evalsha(digest, 2, key, "{" + key + "}.attempt", meta, TTL * 1000, 1, 0, 0)

    return pipelines(count, add)


def lean(count):
    def add(pipeline, key, meta):
        pipeline.execute_command("SETEX", key, TTL, meta)
        pipeline.publish(key, meta)

    return pipelines(count, add)


def celery(count):
    app = Celery("redis_bench", backend=URL)
    app.backend.store_result(str(uuid.uuid4()), None, "SUCCESS")

    def run():
        for _ in range(count):
            app.backend.store_result(str(uuid.uuid4()), None, "SUCCESS")

    return run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("measure", choices=["pipeline-fenced", "pipeline-lean", "celery"])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--script")
    given = parser.parse_args()
    if given.measure == "celery":
        contestant, measure, run = "celery, store_result", "lean", celery(given.count)
    elif given.measure == "pipeline-lean":
        contestant, measure, run = "redis-py, pipelines", "lean", lean(given.count)
    else:
        contestant, measure, run = "redis-py, pipelines", "fenced", fenced(given.count, given.script)
    processor, start = time.process_time(), time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    cost = time.process_time() - processor
    line = {"contestant": contestant, "measure": measure, "count": given.count, "seconds": round(seconds, 4)}
    line |= {"rate": round(given.count / seconds, 1), "cpu_us": round(cost * 1e6 / given.count, 2)}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
