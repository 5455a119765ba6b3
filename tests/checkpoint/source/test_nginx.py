"""Ranges from a real nginx, with what its operators switch on. Skipped where there is none."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import pytest

from attest.checkpoint import open_checkpoint
from attest.checkpoint.source import open_tree
from attest.errors import NetworkError
from attest.sweep import sweep

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
CONFIGURATION = """
daemon off; master_process off; pid {root}/pid; error_log stderr crit; events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
  uwsgi_temp_path {root}/d; scgi_temp_path {root}/e; default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    location /gzip/ {{ alias {files}/; gzip on; gzip_types *; gzip_min_length 1; }}
    location /dated/ {{ alias {files}/; etag off; }}
    location /slow/ {{ alias {files}/; limit_rate 8m; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /gzip/$1 redirect; }}
    location /proxied/ {{ proxy_pass http://127.0.0.1:{port}/gzip/; }}
    location /whole/ {{ alias {files}/; max_ranges 0; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    root = tmp_path_factory.mktemp("nginx")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    (root / "conf").write_text(CONFIGURATION.format(root=root, port=port, files=(family / "seed-1").resolve()))
    with subprocess.Popen([NGINX, "-c", str(root / "conf"), "-e", "stderr"], stderr=subprocess.DEVNULL) as server:
        end = monotonic() + 60
        while server.poll() is None and monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.mark.parametrize("how", ["gzip", "dated", "slow", "moved", "proxied"])
def test_nginx_gives_the_bytes_of_the_file(nginx: str, family: Path, how: str):
    remote = open_checkpoint(f"{nginx}/{how}/model.safetensors")
    local = open_checkpoint(family / "seed-1" / "model.safetensors")
    assert [one.sha256 for one in sweep(remote, lambda _: {}).files] == [
        one.sha256 for one in sweep(local, lambda _: {}).files
    ]


def test_nginx_without_ranges_is_noticed(nginx: str):
    with pytest.raises(NetworkError) as caught:
        open_tree(f"{nginx}/whole/model.safetensors")
    assert caught.value.code == "no-ranges"
