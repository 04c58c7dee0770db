"""Resumable uploads: how much of each has been received, and when its time is over."""

import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from spark_copilot.rules_engine.errors import Conflict, NotFound
from spark_copilot.storage.database import EVERYONE, Database, clock, now_ms
from spark_copilot.storage.models import Upload


class UploadGone(NotFound):
    """The upload was not finished in time."""

    code = "upload-expired"
    hint = "Begin a new upload."


class WrongOffset(Conflict):
    """The chunk does not begin where the upload ends."""

    code = "upload-offset-wrong"
    hint = "HEAD tells the offset to go on from."


class UploadRepository:
    """Rows of uploads; the bytes lie in files."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, tenant: str, *, length: int, file: str, filename: str | None, meta: str, lives_ms: int) -> Upload:
        """A new upload of this many bytes, with none received."""

        def work(session: Session) -> Upload:
            now = clock(session)
            upload = Upload(
                id=secrets.token_hex(16), tenant=tenant, filename=filename, meta=meta, length=length, received=0, file=file,
                created_ms=now, expires_ms=now + lives_ms,
            )  # fmt: skip
            session.add(upload)
            return upload

        return self.database.write(tenant, work)

    def get(self, tenant: str, upload_id: str) -> Upload:
        """One upload.

        Raises:
            NotFound: no such upload of this tenant.
            UploadGone: its time is over.
        """
        with self.database.read(tenant) as session:
            upload = session.scalar(select(Upload).where(Upload.id == upload_id, Upload.tenant == tenant))
            if upload is None:
                raise NotFound(f"no upload {upload_id!r}")
            if upload.run_id is None and upload.expires_ms < clock(session):
                raise UploadGone(f"the upload {upload_id!r} was not finished in time")
        return upload

    def advance(self, upload: Upload, received: int) -> Upload:
        """So many bytes are on disk now.

        Raises:
            WrongOffset: somebody else wrote meanwhile.
        """
        self.database.write(upload.tenant, lambda session: advance(session, upload.id, upload.received, received))
        upload.received = received
        return upload

    def forget(self, tenant: str, upload_id: str) -> None:
        """Drop the row."""
        gone = delete(Upload).where(Upload.id == upload_id, Upload.tenant == tenant)
        self.database.write(tenant, lambda session: session.execute(gone))

    def expired(self) -> list[str]:
        """Drop the unfinished uploads whose time is over; their files, which the caller removes."""

        def work(session: Session) -> list[str]:
            late = (Upload.run_id.is_(None), Upload.expires_ms < now_ms())
            found = list(session.scalars(select(Upload.file).where(*late)))
            session.execute(delete(Upload).where(*late))
            return found

        return self.database.write(EVERYONE, work)

    def files(self) -> set[str]:
        """Files of the uploads that go on."""
        with self.database.read(EVERYONE) as session:
            return set(session.scalars(select(Upload.file).where(Upload.run_id.is_(None))))


def advance(session: Session, upload_id: str, before: int, received: int, run_id: str | None = None) -> None:
    """Move an upload on, in the caller's transaction, if it is where the caller found it.

    Raises:
        WrongOffset: it is not.
    """
    moved = session.execute(
        update(Upload)
        .where(Upload.id == upload_id, Upload.received == before, Upload.run_id.is_(None))
        .values(received=received, run_id=run_id)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]
        raise WrongOffset("another request wrote to this upload meanwhile")
