"""What surrounds a run."""

import json
import subprocess
import sys


def test_every_pool_of_threads_is_limited_whatever_was_imported_before() -> None:
    # In a process of its own: here, the libraries are loaded already.
    code = """if True:
        import json, os
        from moatbench.runner.job import one_pool
        from threadpoolctl import threadpool_info
        with one_pool(1):
            import scipy.linalg, sklearn.linear_model
            print(json.dumps([pool["num_threads"] for pool in threadpool_info()]))
    """
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert set(json.loads(done.stdout)) == {1}
