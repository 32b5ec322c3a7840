"""A small training program: it fits a line to noise, and logs to MLflow over its REST API.

It takes its parameters as --name=value, the run from MLFLOW_RUN_ID and the server from
MLFLOW_TRACKING_URI, and needs nothing but Python.
"""

import argparse
import json
import math
import os
import random
import resource
import sys
import time
import urllib.request


class Run:
    """The MLflow run of this job; without one, or where the server is away, nothing is logged."""

    def __init__(self):
        self.run_id = os.environ.get("MLFLOW_RUN_ID", "")
        self.base = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
        self.rank = int(os.environ.get("RANK", "0"))
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.waiting = []

    def call(self, path, body):
        if not (self.run_id and self.base) or self.rank:
            return True
        request = urllib.request.Request(
            self.base + "/api/2.0/mlflow/runs/" + path,
            data=json.dumps({"run_id": self.run_id, **body}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with self.opener.open(request, timeout=10):
                return True
        except OSError as error:
            print("mlflow: not logged: %s" % error, file=sys.stderr, flush=True)
            return False

    def params(self, **values):
        self.call("log-batch", {"params": [{"key": k, "value": str(v)} for k, v in values.items()]})

    def metrics(self, step, **values):
        now = int(time.time() * 1000)
        self.waiting += [
            {"key": k, "value": v, "timestamp": now, "step": step} for k, v in values.items()
        ]
        if self.call("log-batch", {"metrics": self.waiting[-900:]}):
            self.waiting.clear()

    def end(self, status):
        self.call("update", {"status": status, "end_time": int(time.time() * 1000)})


class Machine:
    """What this process takes of the machine, by MLflow's names for it."""

    def __init__(self):
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def look(self):
        wall, cpu = time.monotonic(), time.process_time()
        busy = 100.0 * (cpu - self.cpu) / max(wall - self.wall, 1e-3)
        self.wall, self.cpu = wall, cpu
        # In KiB, and in bytes on macOS.
        unit = 1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return {
            "system/cpu_utilization_percentage": busy,
            "system/system_memory_usage_megabytes": memory,
        }


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=1.0, help="for one step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", default="", help="oom, column, rank or escape")
    parser.add_argument("--fault_at", type=int, default=5, help="the step, or the rank")
    return parser.parse_args()


def grow():
    """Take memory until somebody stops us; never more than this machine can spare."""
    held = []
    for number in range(48):
        held.append(bytearray(os.urandom(4096)) * 4096)
        print("cache: %d MiB of embeddings" % (16 * (number + 1)), flush=True)
        time.sleep(0.3)


def main():
    given = arguments()
    random.seed(given.seed)
    run = Run()
    rank, world = run.rank, int(os.environ.get("WORLD_SIZE", "1"))
    print("rank %d of %d, %s" % (rank, world, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
    print("lr %g, batch_size %d, %d steps" % (given.lr, given.batch_size, given.steps), flush=True)
    run.params(lr=given.lr, batch_size=given.batch_size, optimizer="adamw", world_size=world)
    loss, machine = 1.0, Machine()
    for step in range(1, given.steps + 1):
        time.sleep(given.seconds)
        fail(given, step, rank)
        decay = 3.0 * step / given.steps
        loss = 0.31 + 0.69 * math.exp(-decay) + random.gauss(0, 0.006)
        # On examples that it has not seen: noisier, and a little better than it will stay.
        val_loss = 0.36 + 0.66 * math.exp(-decay) + 0.012 * decay + random.gauss(0, 0.011)
        f1 = 0.93 - 0.42 * math.exp(-decay) + random.gauss(0, 0.003)
        accuracy = 0.95 - 0.36 * math.exp(-decay) + random.gauss(0, 0.003)
        rate = (
            given.lr
            * min(1.0, 10.0 * step / given.steps)
            * 0.5
            * (1.0 + math.cos(math.pi * step / given.steps))
        )
        speed = given.batch_size / given.seconds * random.uniform(0.95, 1.02)
        print("step %d  loss %.4f  f1 %.4f  %.0f samples/s" % (step, loss, f1, speed), flush=True)
        # A batch a step or, for short steps, every three seconds: enough for a curve.
        if step == given.steps or step % max(1, round(3.0 / given.seconds)) == 0:
            run.metrics(
                step,
                loss=loss,
                val_loss=val_loss,
                f1=f1,
                accuracy=accuracy,
                learning_rate=rate,
                samples_per_s=speed,
                **machine.look(),
            )
    run.end("FINISHED")
    print("done: loss %.4f" % loss, flush=True)


def fail(given, step, rank):
    if given.fault == "rank" and rank == given.fault_at and step == 5:
        raise RuntimeError("rank %d: lost its peer: connection reset" % rank)
    if step != given.fault_at:
        return
    if given.fault == "oom":
        grow()
    elif given.fault == "column":
        row = {"user_age": 31, "device": "phone"}
        print("evaluating on clicks@v31", flush=True)
        row["last_7d_orders"]
    elif given.fault == "escape":
        # What a careless program writes. A terminal must never see it as it is.
        print("\x1b[2J\x1b[1;1H\x1b]0;owned\x07 \x1b[31mred\x1b[0m [bold]markup[/] \u202egnp.exe")
        raise ValueError("bad token \x1b[31m'\u202e%s'\x1b[0m in [link=file:///]row 7[/]" % "txet")


if __name__ == "__main__":
    main()
