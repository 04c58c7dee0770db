"""Settings: read once, in `wiring` or a command, from the environment (`SPARK_COPILOT_…`) and `.env`; lower layers get plain values."""

from pathlib import Path

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    max_upload_bytes: PositiveInt = Field(20 * 2**30, description="Largest request body accepted, as sent.")
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
    mcp_token: SecretStr | None = Field(
        None, description="Bearer token that the MCP server asks for over HTTP; needed where it binds another address than loopback."
    )


def load() -> Settings:
    """The settings of this process's environment."""
    return Settings()
