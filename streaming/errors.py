"""Errors of the streaming stage.

CaudalError
├── StreamingError
│   ├── ContractHalted     one contract cannot go on; the others do, and it is caught up from raw later
│   │   ├── Unbalanced     a batch's records and their states do not add up
│   │   ├── TableDrift     a table is not what its only writer left
│   │   ├── Purged         raw no longer has the records that something would be made of
│   │   ├── ContractPaused a record cannot be read, and the contract says `on_incompatible: pause`
│   │   └── IdentityDrift  a table was made for another key, sequence, mode or history
│   ├── DataLoss           Kafka no longer has records that raw has not seen
│   ├── VersionGone        an older version of a table was cleaned up
│   └── NotLanded          a batch did not reach raw, so nothing may be made of it
└── TransientError
    └── QueryFailed        the query ended; it starts again from raw's positions
"""

from caudal.errors import CaudalError, Exit, TransientError


class StreamingError(CaudalError):
    """Root of this stage's errors."""

    code = "CDL-STREAMING"


class ContractHalted(StreamingError):
    """One contract stops here; its records wait in raw."""

    code = "CDL-HALTED"


class Unbalanced(ContractHalted):
    """read ≠ applied + duplicate + superseded + dead letter + parked."""

    code = "CDL-UNBALANCED"
    exit_code = Exit.INVARIANT


class TableDrift(ContractHalted):
    """A table's version or columns are not what its only writer left."""

    code = "CDL-TABLE-DRIFT"
    way_out = "let no other program write here; the table is opened anew and caught up from raw"


class Purged(ContractHalted):
    """Raw no longer has the records that something would be made of: they were purged."""

    code = "CDL-PURGED"
    exit_code = Exit.USAGE


class ContractPaused(ContractHalted):
    """Records that no version of the contract can read, and its policy is to wait for one that can."""

    code = "CDL-PAUSED"


class IdentityDrift(ContractHalted):
    """The contract's mode, key, sequence or history's columns are not those that its table was made for."""

    code = "CDL-IDENTITY"


class DataLoss(StreamingError):
    """Offsets that raw has not read are gone from Kafka (retention, or a topic that was made anew)."""

    code = "CDL-DATA-LOSS"
    exit_code = Exit.INVARIANT


class VersionGone(StreamingError):
    """A version of a table that was asked for is not there any more: its log or its files were cleaned up."""

    code = "CDL-VERSION-GONE"
    exit_code = Exit.USAGE


class NotLanded(StreamingError):
    """The records of a batch did not reach raw; the query ends, and begins again after what did."""

    code = "CDL-QUERY"


class QueryFailed(TransientError):
    """The streaming query ended with an error; it is started again from raw's end offsets."""

    code = "CDL-QUERY"


class BadFix(StreamingError):
    """A fix for dead letters cannot be made."""

    code = "CDL-FIX"
    exit_code = Exit.USAGE


class NoAnswer(StreamingError):
    """A command was given and the program that owns the tables did not answer in time."""

    code = "CDL-NO-ANSWER"
    exit_code = Exit.UNREACHABLE
    retryable = True


class NoDeadLetter(StreamingError):
    """No record was refused at these coordinates."""

    code = "CDL-NO-LETTER"
    exit_code = Exit.USAGE
