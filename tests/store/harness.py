"""Run as a program: writes to a store from processes that get killed, and says what was lost.

    python harness.py kill URL KILLS SEED        kill -9 at random moments
    python harness.py failpoint URL NAMES        kill -9 at named places
    python harness.py writers URL PROCESSES THREADS TURNS
    python harness.py full URL                   append until the file may not grow any more

Each prints one line of JSON. Children are forked, because starting Python takes longer than what they do.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loma_memory.errors import SessionConflict, StoreError
from loma_memory.store import NewMessage, NewSegment, SessionHead, Store, failpoints
from loma_memory.testing.base import FINGERPRINT, SETTINGS

SEGMENT = 20_000  # bytes


def append_turn(store: Store, head: SessionHead, word: str) -> SessionHead:
    new = [NewMessage("user", f"{word} asks"), NewMessage("assistant", f"{word} is answered")]
    kv = [NewSegment(2, "raw", bytes([head.turns % 256]) * SEGMENT) for _ in new]
    return store.append(head, new, kv, FINGERPRINT, SETTINGS)


def fork(child: Callable[[int], None]) -> tuple[int, int]:
    """Runs a function in a new process. Returns its id, and a pipe that it can write to."""
    end, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        try:
            child(start)
        finally:
            os._exit(0)
    os.close(start)
    return pid, end


def read_all(pipe: int) -> list[str]:
    data = b""
    while piece := os.read(pipe, 1 << 16):
        data += piece
    os.close(pipe)
    return data.decode().split("\n")[:-1]  # what follows the last newline was cut off


def read_some(pipe: int, count: int) -> tuple[list[str], float]:
    """Waits for that many lines. Also returns how long the last one took, or a guess."""
    lines: list[str] = []
    took, since = 0.004, 0.0
    while len(lines) < count:
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(pipe, 1)
        lines.append(line.decode().strip())
        took = time.perf_counter() - since if since else took
        since = time.perf_counter()
    return lines, took


def kill(url: str, kills: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    Store.open(url).close()
    lost = half = unclean = acknowledged = mid_write = 0
    for number in range(kills):
        name = f"s{number // 20}"  # sessions that are picked up again, and not too long ones

        def chat(pipe: int, name: str = name) -> None:
            with Store.open(url) as store:
                head = store.session(name)
                os.write(pipe, f"{head.turns} {head.head_id}\n".encode())
                while True:
                    head = append_turn(store, head, f"turn {head.turns + 1}")
                    os.write(pipe, f"{head.turns} {head.head_id}\n".encode())

        pid, pipe = fork(chat)
        said, took = read_some(pipe, rng.randint(1, 4))
        time.sleep(rng.random() * 1.2 * took)  # somewhere within the next turn
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        said += read_all(pipe)
        acknowledged += max(0, len(said) - 1)
        try:
            with Store.open(url) as store:
                head = store.session(name, create=not said)
                path = store.path(head)
                turns, head_id = said[-1].split(" ") if said else ("0", head.head_id)
                ids = [head_id, *(message.id for message in path)]
                lost += head.turns < int(turns) or (int(turns) > 0 and head_id not in ids[1:])
                mid_write += head.turns > int(turns)
                half += head.messages != 2 * head.turns or None in store.segments(head, FINGERPRINT)
                if number == kills - 1:
                    unclean += not store.verify().ok
        except StoreError as error:
            unclean += 1
            print(error, file=sys.stderr)
    return {
        "kills": kills,
        "acknowledged": acknowledged,
        "committed but not acknowledged": mid_write,
        "lost": lost,
        "half": half,
        "unclean": unclean,
    }


def failpoint(url: str, *names: str) -> dict[str, Any]:
    """Kills a process at each named place, and says what its namespace was told and holds."""
    found: dict[str, Any] = {}
    for name in names:

        def chat(pipe: int, name: str = name) -> None:
            with Store.open(url) as store:
                head = append_turn(store, append_turn(store, store.session("ada", name), "one"), "two")
                packed = store.export_session(head)
                os.write(pipe, f"{head.turns}\n".encode())
                failpoints.hook = lambda at: os.kill(os.getpid(), signal.SIGKILL) if at == name else None
                if name.startswith("append"):
                    append_turn(store, head, "three")
                elif name.startswith("replace"):
                    store.replace_after(head, 1, [], [], "", {})
                elif name.startswith("erase"):
                    store.delete_session("ada", name)
                elif name.startswith("import"):
                    store.import_session(packed, "imported", name)
                os.write(pipe, b"done\n")

        pid, pipe = fork(chat)
        os.waitpid(pid, 0)
        said = read_all(pipe)
        with Store.open(url) as store:
            sessions = {head.name: head.turns for head in store.sessions(name)}
            found[name] = {
                "said": said,
                "sessions": sessions,
                "messages": store.stats(namespace=name).messages,
            }
    with Store.open(url) as store:
        found["ok"] = store.verify().ok
    return found


def writers(url: str, processes: int, threads: int, turns: int) -> dict[str, Any]:
    Store.open(url).close()
    started = time.perf_counter()

    def work(pipe: int, process: int) -> None:
        def write(thread: int) -> tuple[list[str], int]:
            rng = random.Random(process * 1000 + thread)
            won: list[str] = []
            told = 0
            while len(won) < turns:
                word = f"p{process} t{thread} n{len(won)}"
                try:
                    append_turn(store, store.session("ada"), word)
                    won.append(word)
                except SessionConflict:
                    told += 1
                    time.sleep(rng.random() * 0.002 * processes * threads)
            return won, told

        with Store.open(url) as store, ThreadPoolExecutor(threads) as pool:
            for won, told in pool.map(write, range(threads)):
                os.write(pipe, f"{told};{';'.join(won)}\n".encode())

    children = [fork(lambda pipe, number=number: work(pipe, number)) for number in range(processes)]  # type: ignore[misc]
    said = [line for _, pipe in children for line in read_all(pipe)]
    for pid, _ in children:
        os.waitpid(pid, 0)
    won = [word for line in said for word in line.split(";")[1:]]
    with Store.open(url) as store:
        head = store.session("ada", create=False)
        kept = [message.text.removesuffix(" asks") for message in store.path(head) if message.role == "user"]
        return {
            "writers": processes * threads,
            "turns": head.turns,
            "conflicts told": sum(int(line.split(";")[0]) for line in said),
            "lost": len(set(won) - set(kept)),
            "doubled": len(kept) - len(set(kept)),
            "unacknowledged": len(set(kept) - set(won)),
            "version": head.version,
            "ok": store.verify().ok,
            "seconds": round(time.perf_counter() - started, 1),
        }


def full(url: str) -> dict[str, Any]:
    signal.signal(
        signal.SIGXFSZ, signal.SIG_IGN
    )  # writing past the limit is then an error, as on a full disk
    with Store.open(url) as store:
        head = append_turn(store, store.session("ada"), "first")
        limit = 2 * 2**20
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        error = ""
        for number in range(500):
            try:
                head = append_turn(store, head, f"turn {number}")
            except StoreError as caught:
                error = str(caught)
                break
        after = store.session("ada")
        sound = len(store.path(after)) == after.messages and None not in store.segments(after, FINGERPRINT)
    return {"error": error, "turns": head.turns, "same": after == head, "sound": sound}


if __name__ == "__main__":
    command = {"kill": kill, "failpoint": failpoint, "writers": writers, "full": full}[sys.argv[1]]
    print(json.dumps(command(sys.argv[2], *(int(word) if word.isdigit() else word for word in sys.argv[3:]))))  # type: ignore[operator]
