"""Servers, the load that `roadstead bench` puts on them, and what both cost: what tools/bench, tools/grow and tools/storm share.

Needs the program that `make bench` builds; $ROADSTEAD names another.
"""
import json, os, socket, subprocess, sys, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.abspath(os.environ.get("ROADSTEAD") or os.path.join(
    os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target")), "debug", "roadstead"))
DOCUMENT = os.path.join(HERE, "..", "docs", "benchmarks.md")
MIB = 1 << 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, seconds=60, pause=0.05):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(pause)


def answers(url, seconds=2):
    try:
        return urllib.request.urlopen(url, timeout=seconds).status == 200
    except OSError:
        return False


def node_environment(folder, ports):
    """Configures a node alone that keeps all it has in `folder`."""
    listeners = {f"ROADSTEAD_{listener.upper()}_LISTEN": f"127.0.0.1:{port}" for listener, port in ports.items()}
    return listeners | {
        "ROADSTEAD_ACCESS_MODE": "open", "ROADSTEAD_NODE_DATA_DIR": folder + "/node",
        "ROADSTEAD_STORAGE_PATH": folder + "/blobs", "ROADSTEAD_LIMITS_UPLOADS_PER_CLIENT_PER_MINUTE": "0"}


def node_ports():
    return {listener: free_port() for listener in ("api", "peer", "admin")}


def start_store(start, folder):
    """Has `start` run MinIO with all that it has in `folder`, and answers the variables with which a node uses it."""
    start(os.path.join(HERE, "s3-server"), "minio", folder, env={"MINIO_PROMETHEUS_AUTH_TYPE": "public"})
    until(lambda: os.path.exists(folder + "/env"), "the settings of the store")
    with open(folder + "/env") as file:
        settings = dict(line.split()[1].split("=", 1) for line in file)
    until(lambda: answers(settings["ROADSTEAD_STORAGE_ENDPOINT"] + "/minio/health/ready"), "the store")
    return settings


class Server:
    def __init__(self, name, urls, pids):
        self.name, self.urls, self.pids, self.holds = name, urls, pids, set()


def bench(server, workload, *arguments, node=None):
    """One run of the generator; node: only that one is asked."""
    urls = server.urls if node is None else [server.urls[node]]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        argv = [PROGRAM, "bench", workload, "--server", ",".join(urls), "--json", file.name,
                "--pid", ",".join(map(str, server.pids)), *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr}")
        report = json.load(file)
    if report["failed"] and "--rate" not in arguments:
        print(f"{server.name} {workload}: {report['failed']} failed: {report['first_error']}", file=sys.stderr)
    return report


def cpu(report):
    return sum(process["cpu_seconds"] for process in report["processes"])


def rates(report):
    """Operations a second, and CPU microseconds for each."""
    return {"per second": report["operations_per_second"], "CPU us": cpu(report) * 1e6 / max(report["succeeded"], 1)}


def latencies(report):
    return {"p50 ms": report["latency"]["p50_ms"], "p99 ms": report["latency"]["p99_ms"]}


def ticks(pid):
    """Hundredths of a CPU second that a process has had."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def resident(pid, what="VmRSS"):
    """MiB of a process that are in memory; of these RssAnon are no file's."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(what + ":"))


def show(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def first_line(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return ((done.stdout or done.stderr).splitlines() or ["?"])[0].strip()


def machine():
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    memory = int(open("/proc/meminfo").readline().split()[1]) >> 20
    return f"{os.cpu_count()} x {model}, {memory} GiB, Linux {os.uname().release}"


def parts(tool):
    """docs/benchmarks.md: what is before the marks of `tool`, between and behind them; the marks with what is outside."""
    with open(DOCUMENT) as file:
        text = file.read()
    begin, end = f"<!-- {tool}: begin -->\n", f"<!-- {tool}: end -->"
    before, rest = text.split(begin)
    between, behind = rest.split(end)
    return before + begin, between, end + behind


def table(tool):
    """The table that `tool` has written."""
    return parts(tool)[1]


def write(tool, table):
    """Puts `table` between the marks of `tool`."""
    before, _, behind = parts(tool)
    with open(DOCUMENT, "w") as file:
        file.write(before + table + behind)
