import pytest
from scripted_sweep import METRICS, ended, evaluated, proposed, started
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.record_writer import RecordWriter

from raysweep.jobs import Outcome
from raysweep.state import SweepState
