"""Starts an endpoint's supervisor where none lives."""

import subprocess
import sys
import threading
from dataclasses import replace

from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles
from workers.platforms.embedded.cluster.replica import IMPORT_ROOT
from workers.platforms.embedded.cluster.supervisor import SupervisorTiming


def launch_supervisor(files: EndpointFiles, timing: SupervisorTiming) -> None:
    """Start the endpoint's supervisor unless it lives; it outlives this process.

    However many call this at once, one is started: its lock is taken here and handed to it with its birth.
    """
    lock = files.supervising()
    if lock is None:
        return
    with lock, files.supervisor_error.open("wb") as said:
        if last := files.read_status():  # a dead one's words are not to pass for the living one's
            trouble = "The endpoint's supervisor had ended; it has been started again."
            files.write_status(
                replace(last, ready=0, updated=0, rolled_out=False, cpu_percent=None, replicas=(), trouble=trouble)
            )
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "workers.platforms.embedded.cluster.supervisor"),
                *("--folder", str(files.folder)),
                *("--lock-fd", str(lock.fd)),
                *("--sync-period-s", str(timing.sync_period_s)),
                *("--scale-down-window-s", str(timing.scale_down_window_s)),
                *("--ready-deadline-s", str(timing.ready_deadline_s)),
            ],
            cwd=IMPORT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=[lock.fd],
            start_new_session=True,  # no signal meant for the worker or its terminal reaches it
        )
    # Should it end before this process does, it is not to stay behind as a zombie.
    threading.Thread(target=process.wait, name="supervisor", daemon=True).start()
