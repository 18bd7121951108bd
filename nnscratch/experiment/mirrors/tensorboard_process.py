"""The other side of `tensorboard.TensorBoardMirror`: writes what happens as TensorBoard's events, by its own library.

python -m nnscratch.experiment.mirrors.tensorboard_process
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnscratch.experiment.mirrors.companion import Told, reason
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory

INSTALL = "pip install 'nnscratch[tensorboard]'"


def main() -> int:
    """Mirrors one run, from its `start` line to its `finish` line or the end of input."""
    told = Told()
    messages = told.messages()
    start = next(messages, None)
    if start is None:
        return 0
    try:
        board = _Board(Path(start["folder"]), start["config"])
        status, has_files = "killed", True
        for message in messages:
            if message["kind"] == "log":
                board.log(message["values"])
            elif message["kind"] == "finish":
                status, has_files = message["status"], message["has_files"]
        board.finish(status, has_files)
    except ModuleNotFoundError as error:
        told.answer(kind="warning", text=f"{error.name} is not installed: {INSTALL}")
    except BaseException as error:
        told.answer(kind="warning", text=reason(error))
    return 0


class _Board:
    """The events of one run, in its folder."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._run = RunDirectory(folder)
        events = folder / layout.TENSORBOARD
        for old in events.glob("events.out.tfevents.*"):  # a resume is told every epoch again
            old.unlink()
        self._writer = EventFileWriter(str(events))
        self._step = 0
        self._put(hparams_pb(dict(_flat(config)), trial_id=folder.name))

    def log(self, values: Mapping[str, Any]) -> None:
        """An epoch's values, each a curve."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._step = int(values["epoch"])
        for name, value in values.items():
            if name != "epoch" and isinstance(value, int | float):
                self._put(scalar_pb(name, value))
        self._writer.flush()

    def finish(self, status: str, has_files: bool) -> None:
        """How it ended and, unless another run has taken the folder's place, what is there by now."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        if has_files:
            test = self._run.read_test()
            if test:
                self.log({"epoch": self._step, **{name: each for name, each in test.items() if name != "epoch"}})
            for picture in sorted(self._run.plots.glob("*.png")):
                self._add_picture(f"plots/{picture.stem}", picture.read_bytes())
        is_good = status in ("completed", "pruned", "interrupted")
        ended = api_pb2.SessionEndInfo if hasattr(api_pb2, "SessionEndInfo") else plugin_data_pb2.SessionEndInfo
        info = ended(status=api_pb2.STATUS_SUCCESS if is_good else api_pb2.STATUS_FAILURE, end_time_secs=time.time())
        summary = Summary()
        summary.value.add(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info)),
            tensor=metadata.NULL_TENSOR,
        )
        self._put(summary)
        self._writer.close()

    def _add_picture(self, tag: str, png: bytes) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        self._put(Summary(value=[Summary.Value(tag=tag, image=image)]))

    def _put(self, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=self._step, summary=summary))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """Every setting by its dotted path: numbers and words as they are, lists as text, what is not set left out."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{prefix}{key}", value
        elif value is not None:
            yield f"{prefix}{key}", str(value)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # no writer's thread may keep it
