"""The soak's programme and its bounds, on samples made by hand."""

from __future__ import annotations

from dataclasses import replace

from caudal.cli.bench import soak
from caudal.cli.bench.soak_judge import AGE_RATIO, AGE_SLACK_S, CALM_FROM, LOG_TAIL, Sample, judged

SECONDS, FILES = 900.0, 64
STEADY = [Sample(float(at), 1000.0, 60, 3 * at, 40, 500 * at, 1.5) for at in range(0, 900, 10)]


def broken(samples: list[Sample]) -> set[str]:
    return {verdict.name for verdict in judged(samples, SECONDS, FILES) if not verdict.ok}


def test_what_stays_as_it_is_holds() -> None:
    """Nothing grows: all bounds hold. Without samples none does."""
    assert broken(STEADY) == set()
    assert len(broken([])) == len(judged(STEADY, SECONDS, FILES)) == 4


def test_each_growth_is_found() -> None:
    """Memory, files, the log and age are told apart; what is outside the calm parts does not count."""
    last = [n for n, sample in enumerate(STEADY) if sample.at_s >= 600 + CALM_FROM * 300]

    def grown(**what: float) -> list[Sample]:
        return [replace(s, **what) if n in last else s for n, s in enumerate(STEADY)]  # type: ignore[arg-type]

    assert broken(grown(memory_mib=1400.0)) == {"memory, MiB"}
    assert broken(grown(live_files=2 * FILES + 1)) == {"live files of a table"}
    assert broken(grown(log_tail=LOG_TAIL + 1)) == {"log behind a checkpoint"}
    assert broken(grown(age_p95_s=1.5 * AGE_RATIO + AGE_SLACK_S + 0.1)) == {"age at P95, s"}
    stirred = [replace(s, memory_mib=9000.0, age_p95_s=99.0) if 600 <= s.at_s < 700 else s for s in STEADY]
    assert broken(stirred) == set()


def test_every_third_has_the_same_faults_and_ends_calm() -> None:
    """Only the kill of streaming comes once, at the beginning; the registry comes back before a third is calm."""
    turns = soak.programme(SECONDS)
    thirds = [[turn.what for turn in turns if n * 300 <= turn.at < (n + 1) * 300] for n in range(3)]
    assert thirds[0] == ["streaming killed", *thirds[1]]
    assert thirds[1] == thirds[2]
    calm = [turn for turn in turns if (turn.at % 300) >= CALM_FROM * 300]
    assert {turn.what for turn in calm} == {"release"}
