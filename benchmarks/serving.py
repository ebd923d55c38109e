"""What a served defense costs: requests a second beside bare services of the same model.

Run: python benchmarks/serving.py [--quick]. Each server runs on one core, the load on another, in
interleaved rounds; a row is the ratio of medians. It tells the processor's time a request as well,
which other work on the machine sways less. wrk makes the load where it is installed, else
benchmarks/load.py, which is slower than the fastest of the servers.
"""

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from load import load, request
from quick import QUICK

from moatbench.compose.deployed import deployed
from moatbench.serving import keys
from moatbench.serving.store import Store

MODEL = ["victim=softmax", "data=digits"]
OURS = {
    "rounding": "defense=rounding",
    "seat": "defense=seat response@defense.seat.response=log defense.seat.monitor.memory=500",
}
SECONDS, ROUNDS = (1.0, 1) if QUICK else (3.0, 5)
BARE = ("pydantic", "raw", "mlflow")
TICK = os.sysconf("SC_CLK_TCK")


class Case(NamedTuple):
    """A load: so many rows a request, on so many connections."""

    rows: int
    connections: int


SINGLE, BATCH, ALONE, MANY = Case(1, 16), Case(100, 4), Case(1, 1), Case(1, 64)
BARS = [  # ours, the bare service, the load, the least ratio of requests a second
    ("rounding", "pydantic", SINGLE, 0.75),
    ("rounding", "pydantic", BATCH, 2.0),
    ("rounding", "raw", SINGLE, 0.65),
    ("rounding", "raw", MANY, 0.55),
    ("rounding", "raw", BATCH, 0.70),
    ("seat", "pydantic", SINGLE, 0.70),
    ("seat", "pydantic", BATCH, 1.3),
    ("rounding", "mlflow", SINGLE, 3.0),
    ("rounding", "mlflow", BATCH, 3.0),
]


class Measured(NamedTuple):
    """A round: answers a second, seconds of processor an answer, the middle answer's time."""

    rate: float
    cpu: float
    median: float


class Server(NamedTuple):
    """A server under way."""

    process: subprocess.Popen[bytes]
    port: int
    key: str

    def cpu(self) -> float:
        """Seconds of processor so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def server(name: str, folder: Path, cores: Sequence[int]) -> Iterator[Server]:
    """Start a server on the first core."""
    key, out = "", folder / f"{name}.out"
    if name in OURS:
        store = Store(folder / name)
        key = keys.create(store, "load")[1]
        store.close()
        told = [*MODEL, *OURS[name].split(), "port=0", "admin_port=0", f"state={folder / name}"]
        code, arguments = "from moatbench.cli.serve import main; main()", told
    else:
        code, arguments = "from serving import bare; bare()", [name, str(folder)]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        while not (found := re.search(r"http://127.0.0.1:(\d+)", out.read_text())):
            if process.poll() is not None:
                raise RuntimeError(out.read_text())
            time.sleep(0.1)
        os.sched_setaffinity(process.pid, {cores[0]})
        yield Server(process, int(found[1]), key)
    finally:
        process.kill()
        process.wait()


def bare() -> None:
    """Run a bare service of the same model: `pydantic`, `raw` or `mlflow`."""
    import uvicorn
    import uvloop

    from moatbench.serving.servers import listening

    kind, folder = sys.argv[1:]
    place = listening(0)
    app = scoring(Path(folder)) if kind == "mlflow" else plain(kind)
    print(f"http://127.0.0.1:{place.getsockname()[1]}", flush=True)
    # MLflow brings neither uvloop nor httptools; `serve` leaves the loop to who runs it
    own = kind != "mlflow"
    config = uvicorn.Config(
        app, access_log=False, log_level="error", http="httptools" if own else "h11"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if own else None) as runner:
        runner.run(uvicorn.Server(config).serve([place]))


def plain(kind: str) -> Any:
    """A service as a tutorial has it, with models of pydantic; or one that reads by orjson."""
    from fastapi import FastAPI, Request, Response
    from pydantic import BaseModel

    predict, app = deployed([*MODEL, "defense=none"]).victim.predict, FastAPI()

    class Asked(BaseModel):
        inputs: list[list[float]]

    class Told(BaseModel):
        predictions: list[list[float]]
        labels: list[int]

    if kind == "pydantic":

        @app.post("/invocations")
        async def typed(asked: Asked) -> Told:
            reply = predict(np.array(asked.inputs))
            assert reply.outputs is not None
            return Told(predictions=reply.outputs.tolist(), labels=reply.labels.tolist())

    else:

        @app.post("/invocations")
        async def raw(asked: Request) -> Response:
            reply = predict(np.array(orjson.loads(await asked.body())["inputs"]))
            told = {"predictions": reply.outputs, "labels": reply.labels}
            data = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
            return Response(data, media_type="application/json")

    return app


def scoring(folder: Path) -> Any:
    """MLflow's own server of such a model, as `mlflow models serve` runs it."""
    import mlflow
    from mlflow.pyfunc import scoring_server
    from sklearn.linear_model import LogisticRegression

    shares = deployed([*MODEL, "defense=none"]).victim.shares
    model = LogisticRegression().fit(shares.x_train, shares.y_train)
    place = str(folder / "mlflow-model")
    mlflow.sklearn.save_model(model, place, pyfunc_predict_fn="predict_proba", pip_requirements=[])
    return scoring_server.init(mlflow.pyfunc.load_model(place))


def measured(to: Server, case: Case, seconds: float, cores: Sequence[int]) -> Measured:
    """Load a server for so long."""
    x = np.round(np.random.default_rng(0).uniform(-1, 1, (case.rows, 64)), 3)
    body = orjson.dumps({"inputs": x}, option=orjson.OPT_SERIALIZE_NUMPY)
    before = to.cpu()
    if shutil.which("wrk"):
        rate, median = _wrk(to, body, case, seconds, cores)
        answers = rate * seconds
    else:
        message = request("/invocations", body, to.key)
        told = asyncio.run(load(to.port, [message], case.connections, seconds))
        rate, median, answers = told.rate, told.quantile(0.5), told.statuses[200]
    return Measured(rate, (to.cpu() - before) / max(1.0, answers), median)


def _wrk(
    to: Server, body: bytes, case: Case, seconds: float, cores: Sequence[int]
) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        script, data = Path(folder) / "post.lua", Path(folder) / "body"
        data.write_bytes(body)
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = io.open("{data}"):read("*a")\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            f'wrk.headers["Authorization"] = "Bearer {to.key}"\n'
        )
        command = ["taskset", "-c", str(cores[-1]), "wrk", "-t1", f"-c{case.connections}"]
        command += [f"-d{seconds:g}s", "--latency", "-s", str(script)]
        command.append(f"http://127.0.0.1:{to.port}/invocations")
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", said)
    assert rate is not None
    assert median is not None
    return float(rate[1]), float(median[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[median[2]]


def seat_alone(rows: int) -> float:
    """Seconds of the monitor itself, a request of so many rows."""
    parts = deployed([*MODEL, *OURS["seat"].split()])
    parts.defense.deploy(parts.victim, np.random.default_rng(0))
    x = parts.victim.space.sample(rows, np.random.default_rng(0))
    reply, begun = parts.victim.predict(x), 0.0
    for turn in range(700 // rows + 60):
        if turn == 700 // rows:  # its memory is full from here on
            begun = time.process_time()
        parts.defense.respond(x, reply, "a")
    return (time.process_time() - begun) / 60


def main() -> None:
    """Measure, and print each ratio beside its bar."""
    print(report(rounds()))


def rounds() -> dict[tuple[str, Case], list[Measured]]:
    """Load all servers in turn, some rounds long."""
    cores = sorted(os.sched_getaffinity(0))
    found: dict[tuple[str, Case], list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        servers = {
            name: held.enter_context(server(name, Path(folder), cores)) for name in (*OURS, *BARE)
        }
        wanted = {(n, case) for ours, other, case, _ in BARS for n in (ours, other)}
        wanted |= {("rounding", ALONE), ("raw", ALONE)}
        for _ in range(ROUNDS):
            for name, case in sorted(wanted):
                one = measured(servers[name], case, SECONDS, cores)
                found.setdefault((name, case), []).append(one)
    return found


def report(found: Mapping[tuple[str, Case], list[Measured]]) -> str:
    """Write the table."""

    def middle(name: str, case: Case, what: str) -> float:
        return float(statistics.median(getattr(one, what) for one in found[name, case]))

    lines = [
        "| ours | against | rows x connections | requests/s | ratio | by processor | bar |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    # One look at the monitor alone varies by a quarter, and what is left by as much
    own = {
        case: statistics.median(seat_alone(case.rows) for _ in range(ROUNDS))
        for case in (SINGLE, BATCH)
    }
    for ours, other, case, bar in BARS:
        mine, theirs = middle(ours, case, "rate"), middle(other, case, "rate")
        cpu = middle(ours, case, "cpu")
        if ours == "seat":  # its own time taken off
            mine, cpu = 1 / max(1e-9, 1 / mine - own[case]), cpu - own[case]
        load = f"{case.rows} x {case.connections}"
        ratio, other_cpu = mine / theirs, middle(other, case, "cpu") / cpu
        lines.append(
            f"| {ours} | {other} | {load} | {mine:.0f} | {ratio:.2f} | {other_cpu:.2f} | {bar} |"
        )
    added = middle("rounding", ALONE, "median") - middle("raw", ALONE, "median")
    lines.append(f"p50 added by rounding at one connection: {1e3 * added:.3f} ms  (<= 0.1)")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
