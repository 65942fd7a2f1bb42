"""Settings of the streaming stage: section `streaming` of caudal.toml."""

from pydantic import BaseModel, ConfigDict, Field


class StreamingSettings(BaseModel):
    """How large batches are, how long things wait, how many contracts work side by side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str = Field(default="main", description="name of this group of contracts; part of every txnAppId")
    trigger_s: float = Field(default=1.0, gt=0, description="seconds between batches when records keep coming")
    # What a batch costs before its first record is large, so a backlog goes in big steps. 50,000 records of a few
    # hundred
    # bytes, decoded and held twice, stay below half of a heap of 1 GiB; what does not fit goes to disk.
    batch_records: int = Field(default=50_000, ge=1, description="most records of one micro-batch, all topics")
    batch_mb: int = Field(default=64, ge=1, description="megabytes of values that one micro-batch holds, about")
    catchup_records: int = Field(default=50_000, ge=1, description="records of one catch-up slice, about")
    # Small contracts mostly wait for the driver, so a few more than cores keep the cores busy.
    workers: int = Field(default=4, ge=1, description="contracts that work side by side")
    max_message_bytes: int = Field(default=1_000_000, ge=1, description="a longer value is CDL-TOO-LARGE")
    # Compiling the code of a plan costs some 100 ms of a core for each stage, again whenever a number in it changes;
    # interpreting it costs microseconds per record. Below this many records interpreting is cheaper.
    interpret_below: int = Field(
        default=5_000, ge=0, description="records of a contract from which on its batch is compiled"
    )
    # 16 bytes each, of each append contract.
    known_ids: int = Field(default=12_000_000, ge=1, description="event ids of a table that are known in memory, most")
    # 32 bytes each, of each upsert contract; those of a large table lie in a scratch file.
    known_keys: int = Field(
        default=100_000_000, ge=1, description="rows of a table from which on its keys are looked up, not known"
    )
    future_s: int = Field(default=300, ge=0, description="event_time may be this far after observed_at")
    park_retry_s: float = Field(default=30.0, gt=0, description="how often parked records are tried again")
    park_alarm_s: float = Field(default=600.0, gt=0, description="parked for longer than this raises an alarm")
    halt_retry_s: float = Field(default=15.0, gt=0, description="how often a halted contract is tried again")
    ledger_flush_s: float = Field(default=3.0, gt=0, description="how often the ledger table is written")
    care_look_s: float = Field(default=20.0, gt=0, description="seconds between looks at a table that may need care")
    care_files: int = Field(default=64, ge=2, description="so many small files of a table are compacted")
    care_small_mb: int = Field(default=32, ge=1, description="a smaller data file is small")
    care_deleted: float = Field(
        default=0.2, gt=0, le=1, description="share of deleted rows from which on a table's files are written anew"
    )
    # Whoever opens a table in a folder lists its whole log, tens of µs for each file, and a version has four; a commit
    # a second makes 3,600 versions an hour.
    care_versions: int = Field(default=4_000, ge=1, description="so many versions in a table's log make it be trimmed")
    care_log_h: float = Field(default=1.0, ge=0, description="hours of versions that a trimmed log keeps for readers")
    care_budget_s: float = Field(default=3.0, gt=0, description="seconds that a batch may wait for table care")
    care_share: float = Field(default=0.1, gt=0, le=1, description="most of the time that table care may take")
    vacuum_first_s: float = Field(default=3600, ge=0, description="how long after the start tables are vacuumed")
    vacuum_keep_h: int = Field(default=168, ge=168, description="hours that unneeded files are kept for older readers")
    objective: float = Field(
        default=0.99, gt=0, lt=1, description="share of the time in which a table is as fresh as its contract promises"
    )
    retain_first_s: float = Field(default=600.0, ge=0, description="how long after the start old rows are removed")
    retain_every_s: float = Field(default=86_400.0, gt=0, description="how often rows past their retention are removed")
    purge_every_s: float = Field(default=30 * 86_400.0, gt=0, description="how often raw is purged of old records")
    lag_s: float = Field(default=2.0, gt=0, description="how often the ends of the topics are asked for")
    restart_s: float = Field(default=3.0, gt=0, description="first wait before a failed query starts again")
    restart_max_s: float = Field(default=60.0, gt=0, description="longest wait before a failed query starts again")
