"""``attest keygen``: make a signing key."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from attest.atomic import refuse_output
from attest.cli.options import emit, format_option
from attest.cli.signing import ask_password
from attest.signer import KeyType, public_path, write_key_pair
from attest.terminal import visible

__all__ = ["command"]


@click.command("keygen")
@click.option(
    "-o",
    "--output",
    "private_path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where the private key goes; the public one lies beside it, as .pub.pem.",
)
@click.option(
    "--type", "key_type", type=click.Choice(get_args(KeyType)), default="p256", show_default=True, help="Kind of key."
)
@click.option(
    "--encrypt", is_flag=True, help="Encrypt the private key with a password: ATTEST_PASSWORD, else it is asked."
)
@click.option("--password-file", type=click.Path(path_type=Path), help="Encrypt it with the password in this file.")
@click.option("--force", is_flag=True, help="Overwrite keys that are there. What they signed stays signed.")
@format_option
def command(
    private_path: Path, key_type: KeyType, password_file: Path | None, style: str, *, encrypt: bool, force: bool
) -> None:
    """Make a signing key: KEY.pem (mode 600, keep it secret) and KEY.pub.pem (give it to your readers).

    Without --encrypt or --password-file the private key is not encrypted: whoever reads the file can sign in your
    name.
    """
    refuse_output(private_path, force=force)
    is_encrypted = encrypt or password_file is not None
    password = ask_password(password_file, twice=True)(str(private_path)) if is_encrypted else None
    public_key = write_key_pair(private_path, key_type=key_type, password=password, force=force)
    public = public_path(private_path)
    kind = "private" if password is None else "encrypted private"
    text = (
        f"Wrote {visible(str(private_path))} ({kind} key, mode 600: keep it secret)\n"
        f"Wrote {visible(str(public))} (public key: give it to your readers)\n"
        f"Key SHA-256 {public_key.hint} ({key_type}); sha256sum {visible(str(public))} prints the same"
    )
    value = {
        "schemaVersion": 1,
        "privateKey": str(private_path),
        "publicKey": str(public),
        "keyType": key_type,
        "keySha256": public_key.hint,
    }
    emit(text, value, style=style, output=None, force=False)
