"""Encoding and conversion on a Ray cluster of two nodes: the bytes are those of one machine."""

import json
from pathlib import Path

import pytest

import recbole_symcere  # Ray 2.6.3 can't be imported before it

pytest.importorskip("ray")

from recbole_symcere.cli import main
from recbole_symcere.text import sub_batches


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each; the driver is on the first."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # what a Ray of this machine alone, of an earlier test, has left in this process
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", True)
        show_token(patch)
        patch.setenv("PYTHONPATH", str(Path(recbole_symcere.__file__).parents[1]))
        head = {"num_cpus": 1, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()


def show_token(patch):
    """Let the nodes want a token, as those that `ray start` starts."""
    try:
        from ray._private.authentication import authentication_token_setup as setup
        from ray._raylet import Config
    except ImportError:  # Ray 2.6.3 has none
        return
    patch.setenv("RAY_AUTH_MODE", "token")
    Config.initialize("")
    setup.ensure_token_if_auth_enabled()


def words(small, **changes):
    return [f"--{key}={value}" for key, value in {"dataset": "small", **small, **changes}.items()]


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder, "vectors").iterdir()}


def write_files(folder, n_files=5, n_rows=400):
    """Files of reviews of one layout, some rows of which can't be used."""
    folder.mkdir()
    for number in range(n_files):
        rows = [
            {
                "user_id": f"u{n % 23}", "item_id": f"i{(n * 7 + number) % 41}",
                "rating": n % 5 + 1, "timestamp": 1_500_000_000 + n % 11,
                "text": f"<b>text</b>  {n % 60} of {number}",
            }
            for n in range(n_rows)
        ]  # fmt: skip
        rows[3 + number]["rating"] = "many"
        lines = [*map(json.dumps, rows), "no json"]
        (folder / f"part{number}.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_a_cluster_converts_to_the_bytes_of_one_machine(cluster, tmp_path, capsys):
    write_files(tmp_path / "dump")
    words = ["convert", "generic", f"--input={tmp_path}/dump/*.jsonl", "--name=many"]
    assert main([*words, "--output_dir=here", "--k_core=2"]) == 0
    here = capsys.readouterr().out
    address = f"--ray_address={cluster.address}"
    assert main([*words, "--output_dir=there", "--k_core=2", address]) == 0
    assert capsys.readouterr().out.replace("there", "here") == here
    files = [
        {path.name: path.read_bytes() for path in Path(folder, "many").iterdir()}
        for folder in ("here", "there")
    ]
    assert "rejected.jsonl" in files[0]
    assert files[0] == files[1]
    (tmp_path / "dump" / "part3.jsonl").write_text("{}\n")
    assert main([*words, "--output_dir=else", address]) == 2
    told = capsys.readouterr().err
    assert main([*words, "--output_dir=else"]) == 2
    assert capsys.readouterr().err == told
    assert "part3.jsonl" in told


@pytest.mark.slow
def test_a_cluster_encodes_the_bytes_of_one_machine(cluster, small, monkeypatch, capsys):
    monkeypatch.setattr(sub_batches, "_CPU_TOKENS", 64)
    assert main(["encode", *words(small, cache_dir="here")]) == 0
    assert "130 texts: 0 there already, 130 encoded in" in capsys.readouterr().out
    address = f"--ray_address={cluster.address}"
    assert main(["encode", *words(small, cache_dir="there"), address]) == 0
    out = capsys.readouterr().out
    assert "by 2 workers on 2 nodes" in out
    assert contents("here") == contents("there")


@pytest.fixture
def third_node(cluster):
    """A node that a test may take away."""
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["node", "workers"])
def test_batches_of_lost_workers_are_encoded_by_others(
    cluster, third_node, small, monkeypatch, what
):
    import ray

    from recbole_symcere.run.ray_encoding import _Run

    monkeypatch.setattr(sub_batches, "_CPU_TOKENS", 32)
    assert main(["encode", *words(small, cache_dir="here")]) == 0
    lost, seen, lose, results = [], [], _Run._lose, _Run.results

    def losing(self, worker, number, error):
        lost.append(number)
        lose(self, worker, number, error)

    def disturbed(self):
        for found in results(self):
            seen.append(found[0])
            if len(seen) == 8 and what == "node":
                cluster.remove_node(third_node, allow_graceful=False)
            elif len(seen) == 8:
                for worker in [*self._greeted]:
                    ray.kill(worker)
            yield found

    monkeypatch.setattr(_Run, "_lose", losing)
    monkeypatch.setattr(_Run, "results", disturbed)
    address = f"--ray_address={cluster.address}"
    assert main(["encode", *words(small, cache_dir="there"), address, "--workers=3"]) == 0
    assert [number for number in lost if number is not None]
    assert contents("here") == contents("there")


@pytest.mark.slow
def test_a_file_whose_node_is_lost_is_read_again(cluster, third_node, tmp_path, monkeypatch):
    from recbole_symcere.run import ray_reading

    write_files(tmp_path / "dump", n_files=8, n_rows=60_000)  # several blocks each
    command = ["convert", "generic", f"--input={tmp_path}/dump/*.jsonl", "--name=many"]
    assert main([*command, "--output_dir=here"]) == 0
    fetched, begun, seen = ray_reading._fetched, [], []

    def disturbed(found, n_taken):
        begun.append(n_taken)
        for batch in fetched(found, n_taken):
            yield batch
            seen.append(batch)
            if len(seen) == 1:
                cluster.remove_node(third_node, allow_graceful=False)

    monkeypatch.setattr(ray_reading, "_fetched", disturbed)
    address = f"--ray_address={cluster.address}"
    assert main([*command, "--output_dir=there", address]) == 0
    assert len(begun) > 8
    here, there = (
        {path.name: path.read_bytes() for path in Path(folder, "many").iterdir()}
        for folder in ("here", "there")
    )
    assert here == there
