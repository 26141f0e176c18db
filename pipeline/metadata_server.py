"""ML Metadata on a database server, for output folders on a shared file system.

    [metadata]
    kind = "mysql"                  # also for MariaDB
    host = "db.cluster"
    user = "lookdeep"
    password_env = "LOOKDEEP_DB"    # or password_file = "~/.lookdeep-db", mode 0600

The password itself is not a setting, because settings are kept beside the review page.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from components import processes
from components.errors import InputError
from pipeline.forms import form

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2 as mlmd

_PORT: Final = 3306
_PasswordFile = Annotated[
    Path, Field(strict=False), AfterValidator(lambda path: path.expanduser().absolute())
]


class MetadataServer(BaseModel):
    """Where the database is; the first run creates it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Not PostgreSQL: ml-metadata 1.16 cannot store a text with a backslash there, and TFX does.
    kind: Literal["mysql"]
    host: str
    port: int | None = Field(None, ge=1, le=65535)  # None means 3306
    database: Annotated[str, form(r"\w+", "a word of letters, digits and _")] = "lookdeep"
    user: str
    password_env: str | None = None
    # Made absolute, because a job runs in another folder.
    password_file: _PasswordFile | None = None

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        if (self.password_env is None) == (self.password_file is None):
            raise ValueError("name password_env or password_file, one of them")
        return self

    def __str__(self) -> str:
        return f"{self.kind}://{self.user}@{self.host}/{self.database}"

    def password(self) -> str:
        """Reads the password.

        Raises:
          InputError: it is missing, or others may read its file.
        """
        if self.password_env is not None:
            password = processes.named(self.password_env)
            if not password:
                raise InputError(
                    f"The password of {self} is not in the environment variable"
                    f" {self.password_env}."
                )
            return password
        assert self.password_file is not None  # noqa: S101 (for the type checker)
        path = self.password_file
        try:
            if path.stat().st_mode & 0o077:
                raise InputError(f"Others may read the password in {path}: chmod 600 it.")
            return path.read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            raise InputError(
                f"The password file {path} cannot be read: {error.strerror}."
            ) from error

    def connection(self) -> "mlmd.ConnectionConfig":
        """Returns ML Metadata's configuration, with the password: keep it out of logs.

        Raises:
          InputError: there is no password.
        """
        # Imported here: every command reads settings, and few need the database.
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        config = mlmd.ConnectionConfig()
        config.mysql.host, config.mysql.port = self.host, self.port or _PORT
        config.mysql.database, config.mysql.user = self.database, self.user
        config.mysql.password = self.password()
        return config


class HidePassword(logging.Filter):
    """Removes a password from a handler's records; TFX logs whole connections."""

    def __init__(self, password: str) -> None:
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        super().__init__()
        # Verbatim, and as protocol buffers print it.
        printed = str(mlmd.MySQLDatabaseConfig(password=password)).strip()
        self._spellings = {password, printed.removeprefix('password: "').removesuffix('"')}

    def filter(self, record: logging.LogRecord) -> bool:
        """Replaces the password in a record; lets every record pass."""
        text = record.getMessage()
        if any(spelling in text for spelling in self._spellings):
            for spelling in self._spellings:
                text = text.replace(spelling, "(hidden)")
            record.msg, record.args = text, ()
        return True
