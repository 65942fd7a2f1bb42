"""Where the scorer's real parts are chosen."""

from __future__ import annotations

import signal
import threading

from caudal import log
from caudal.metrics import Metrics
from caudal.settings import Settings
from producers.publish import Publisher
from serving.errors import ModelError, NoHistory
from serving.features import spec as specs
from serving.features.records import Judges
from serving.features.store import Store
from serving.fraud import model as models
from serving.fraud import train
from serving.fraud.decide import Decider
from serving.fraud.engine import Engine
from serving.fraud.model import Model
from serving.fraud.scorer import Scorer
from serving.settings import ServingSettings


def run(settings: Settings) -> None:
    """Score until SIGTERM or SIGINT, then stop between batches."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = Metrics("scorer", settings.run_dir / "metrics").start()
    try:
        serve(settings, metrics, stop)
    finally:
        metrics.stop()


def serve(settings: Settings, metrics: Metrics, stop: threading.Event) -> None:
    """The scorer until `stop` is set; for `run` and for tests."""
    with Publisher(settings, source="scorer", metrics=metrics) as publisher:
        engine = build(settings, publisher)
        try:
            Scorer(settings, engine, Judges(lambda name: publisher.contracts.get(name)), metrics).run(stop)
        finally:
            engine.store.close()


def build(settings: Settings, publisher: Publisher, *, may_train: bool = True) -> Engine:
    """The engine with the live specification and model."""
    own = settings.section("serving", ServingSettings)
    store = Store(
        settings.redis.url.get_secret_value(), own.store_timeout_s, decision_ms=own.decision_days * specs.DAY_MS
    )

    def newer(now: Decider) -> Decider:
        try:
            version = models.current(train.models_dir(settings))
        except ModelError:
            return now
        if version is None or (now.model is not None and now.model.version == version):
            return now
        found = _model(settings, now.spec.label, may_train=False)
        return Decider(now.spec, found, now.rules) if found else now

    return Engine(store, publisher, decider(settings, may_train=may_train), newer=newer)


def decider(settings: Settings, *, may_train: bool = True) -> Decider:
    """Rules and the current model; trains one when there is none but a history, else decides by rules only."""
    spec = specs.load(settings.section("serving", ServingSettings).features)
    return Decider(spec, _model(settings, spec.label, may_train))


def _model(settings: Settings, features: str, may_train: bool) -> Model | None:
    logger = log.get("scorer")
    try:
        found = models.load(train.models_dir(settings))
        if found is not None and found.features == features:
            return found
        return train.train(settings) if may_train else None
    except NoHistory:
        logger.warning("rules_only", why="no model and no history")
    except ModelError as error:
        # A model that cannot be trusted decides nothing; payments are still decided on, by rules.
        logger.error("rules_only", code=error.code, where=error.where)
    return None
