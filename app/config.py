"""Settings: read once, in `wiring` or a command, from the environment (`SPARK_COPILOT_…`) and `.env`; lower layers get plain values."""

from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, NonNegativeInt, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from spark_copilot.rules_engine.errors import UsageError


class Settings(BaseSettings):
    """Everything that can be set. Each field is a row of docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="SPARK_COPILOT_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    home: Path = Field(
        default_factory=lambda: user_data_path("spark-copilot", appauthor=False),
        description="Where everything the program writes lies: database, run tables, caches, index. Can be moved and backed up whole.",
    )
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SPARK_COPILOT_DATABASE_URL", "DATABASE_URL"),
        description="SQLAlchemy URL of the database. Absent: SQLite under the home folder.",
    )
    gcp_project_id: str | None = Field(
        None,
        validation_alias=AliasChoices("SPARK_COPILOT_GCP_PROJECT_ID", "GCP_PROJECT_ID"),
        description="Google Cloud project for GCS, BigQuery and Dataproc. Absent: those connectors say so when used.",
    )
    host: str = Field("127.0.0.1", description="Address the server binds. Without API keys it must be a loopback address.")
    port: PositiveInt = Field(8000, description="Port of the server.")
    max_decompressed_bytes: PositiveInt = Field(200 * 2**30, description="Largest event log accepted, after decompression.")
    run_cache_bytes: NonNegativeInt = Field(
        2 * 2**30, description="Most that the tables of logs already read may take under the home folder; 0 keeps none."
    )
    run_cache_from_bytes: NonNegativeInt = Field(
        16 * 2**20, description="Logs from this size on, as stored, are kept as tables and not read again by the command line."
    )
    max_upload_bytes: PositiveInt = Field(20 * 2**30, description="Largest request body accepted, as sent.")
    pricing: str | None = Field(
        None,
        description="Price list for money: a name, NAME:MACHINE, or a file of your own (docs/cost.md). Absent: reports give time only.",
    )
    max_form_bytes: PositiveInt = Field(
        100 * 2**20, description="Largest upload accepted as a multipart form; larger logs are sent as the body itself."
    )
    upload_idle_seconds: PositiveInt = Field(
        60, description="A client that sends nothing for this long is dropped, in an upload or in the head of a request."
    )
    upload_expires_seconds: PositiveInt = Field(86_400, description="A resumable upload that is not finished is forgotten after this long.")
    import_from: str = Field(
        "",
        description="Places that logs may be fetched from, with commas: s3://bucket/prefix, gs://bucket, az://container, https://history:18480. Empty: none; commands fetch what their user names.",
    )
    import_networks: str = Field(
        "",
        description="Private networks that the names of History Servers in import_from may lead into, with commas: 10.0.0.0/8. Empty: public addresses only.",
    )
    import_seconds: PositiveInt = Field(3_600, description="Time that fetching one log may take.")
    history_server_token: SecretStr | None = Field(None, description="Bearer token sent to the History Servers of import_from.")
    keep_originals: bool = Field(
        False, description="Keep uploaded logs after they are analysed, redacted. Else only the run tables are kept."
    )
    answer_within_seconds: float = Field(20.0, ge=0, description="How long POST /analyze/job waits for the report before it answers 202.")
    worker_inside: bool = Field(True, description="Whether `serve` analyses logs itself. Else `worker` processes do, and only they.")
    analysis_concurrency: PositiveInt = Field(2, description="Logs that one worker analyses at the same time.")
    analysis_memory_bytes: PositiveInt = Field(6 * 2**30, description="Address space of the process that analyses one log.")
    analysis_cpu_seconds: PositiveInt = Field(7_200, description="Processor time that the analysis of one log may take.")
    analysis_wall_seconds: PositiveInt = Field(10_800, description="Time that the analysis of one log may take.")
    job_attempts: PositiveInt = Field(
        3,
        description="Times a log is tried whose analysis crashed. A worker that was lost over it counts apart: after ten the log is given up.",
    )
    job_lease_seconds: float = Field(30.0, gt=0, description="A worker that is not heard of for this long has lost its jobs.")
    job_heartbeat_seconds: float = Field(10.0, gt=0, description="How often a worker says that it holds its jobs; well below the lease.")
    job_sweep_seconds: float = Field(10.0, gt=0, description="How often a worker looks for jobs that others have lost.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What `serve` and `worker` log, from this on.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Form of these logs on standard error; auto: lines for people on a terminal, JSON elsewhere."
    )
    metrics_port: NonNegativeInt | None = Field(None, description="Port of the Prometheus metrics; 0: any free one. Absent: none.")
    metrics_host: str = Field("127.0.0.1", description="Address of that port. It has no access control: keep it inside.")
    cards_folder: Path | None = Field(None, description="A folder of your own topic cards; a card with the id of ours replaces it.")
    chroma_url: str | None = Field(
        None, description="A Chroma server for the index, shared by several replicas. Absent: a folder of the home."
    )
    encoder: str | None = Field(
        None, description="Encoder of your index: bundled, sentence-transformers:MODEL or http:MODEL. Absent: the bundled one."
    )
    encoder_url: str | None = Field(None, description="Base URL of the OpenAI-compatible embeddings endpoint that http:MODEL names.")
    encoder_key: SecretStr | None = Field(None, description="Its key, where it wants one.")
    model: str | None = Field(
        None, description="Language model of chat, as provider:name (openai:gpt-5-mini, ollama:qwen3). Absent: chat answers without one."
    )
    model_url: str | None = Field(None, description="Base URL of the model's endpoint, for any OpenAI-compatible server.")
    model_key: SecretStr | None = Field(None, description="The model's key. Absent: the provider's own variable (OPENAI_API_KEY …).")
    model_timeout_s: PositiveInt = Field(60, description="Longest wait for the model's next piece of text, seconds.")
    model_turn_s: PositiveInt = Field(90, description="Longest time the model may take for one turn, seconds.")
    log_dir_tenant: str = Field("local", description="The tenant that the logs of `serve --log-dir` belong to.")
    redis_url: SecretStr | None = Field(
        None,
        description="A Redis in which several servers count the rate limits together and keep bodies of reports. Absent: each for itself.",
    )
    rate_key_per_second: float = Field(20.0, ge=0.001, le=1e6, description="Requests a second that one API key may make, in the long run.")
    rate_key_burst: PositiveInt = Field(100, description="Requests that one API key may make at once.")
    rate_tenant_per_second: float = Field(50.0, ge=0.001, le=1e6, description="Requests a second of all keys of a tenant together.")
    rate_tenant_burst: PositiveInt = Field(200, description="Requests that the keys of a tenant may make at once.")
    wrong_keys_per_minute: PositiveInt = Field(30, description="Wrong API keys that one address may try in a minute.")
    quota_bytes: PositiveInt | None = Field(None, description="Bytes of logs, as sent, whose runs a tenant may keep. Absent: any number.")
    quota_runs: PositiveInt | None = Field(None, description="Runs that a tenant may keep. Absent: any number.")
    quota_jobs: PositiveInt | None = Field(None, description="Logs of a tenant that may wait or be analysed at a time. Absent: any number.")
    audit_days: PositiveInt = Field(90, description="Days that the audit log is kept.")
    allowed_hosts: str = Field(
        "", description="Host names by which a server on a loopback address may be asked besides its own, with commas: a proxy's name."
    )
    cors_origins: str = Field("", description="Origins of web pages that may use the API, with commas. Empty: none.")
    trusted_proxies: str = Field("", description="Addresses of proxies whose X-Forwarded-For is believed, with commas. Empty: none.")
    mcp_token: SecretStr | None = Field(
        None, description="Bearer token that the MCP server asks for over HTTP; needed where it binds another address than loopback."
    )


class WrongSetting(UsageError):
    """A variable of the environment, or of `.env`, that cannot be what it says."""

    code = "setting-wrong"
    hint = "docs/settings.md lists every setting"


def load() -> Settings:
    """The settings of this process's environment.

    Raises:
        WrongSetting: one makes no sense. Its value is not told: it may be a secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        variable = name if name.isupper() else f"SPARK_COPILOT_{name.upper()}"
        raise WrongSetting(f"{variable}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
