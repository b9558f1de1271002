"""Follows a feed with httpx-sse and jsonpatch, neither of which knows pollcast.

    python follow.py URL [--drop-after N]

Prints one line of JSON for each document that it comes to hold, {"id", "document"}, and one for
each {"reset"} or {"status"}. With --drop-after it leaves after one to N events, says {"dropped"},
waits a little, and resumes with the header Last-Event-ID. Ends when standard input does.
"""

import argparse
import json
import os
import random
import sys
import threading
import time

import httpx
import jsonpatch
from httpx_sse import connect_sse


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("--drop-after", type=int)
    arguments = arguments.parse_args()
    threading.Thread(target=end_with_stdin, daemon=True).start()

    document, last_id = None, None
    # No read time-out: a feed without changes is silent between heartbeats.
    with httpx.Client(timeout=httpx.Timeout(10, read=None), trust_env=False) as client:
        while True:
            left = random.randint(1, arguments.drop_after) if arguments.drop_after else None
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with connect_sse(client, "GET", arguments.url, headers=headers) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    if not event.data:
                        continue  # httpx-sse tells retry lines and heartbeats as events
                    if event.event == "snapshot":
                        document = event.json()
                    elif event.event == "patch":
                        document = jsonpatch.apply_patch(document, event.json())
                    else:
                        say(**{event.event: event.json()})
                        continue
                    last_id = event.id
                    say(id=last_id, document=document)
                    if left is not None:
                        left -= 1
                        if left == 0:
                            say(dropped=last_id)
                            break
            time.sleep(random.random() * 0.3)


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


def say(**line):
    print(json.dumps(line), flush=True)


main()
