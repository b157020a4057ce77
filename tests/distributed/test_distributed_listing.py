"""Listings of object stores stream: what is in memory does not grow with the number of keys."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from cleanplate.distributed.location import Location

pytest.importorskip("botocore")
PAGE = 1000
KEYS = int(os.environ.get("CLEANPLATE_TEST_KEYS", "20000"))


class Pages(BaseHTTPRequestHandler):
    """Answers as S3 does to ListObjectsV2, for a folder of `keys` photos that exist nowhere."""

    protocol_version = "HTTP/1.1"
    keys = 0

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        prefix = query.get("prefix", [""])[0]
        first = int(query.get("continuation-token", ["0"])[0])
        last = min(first + PAGE, self.keys) if prefix == "in/" else first
        items = "".join(
            f"<Contents><Key>{prefix}{number % 97:02}/{number:09}.jpg</Key><Size>4000000</Size>"
            "<LastModified>2024-05-01T10:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for number in range(first, last)
        )
        more = last < self.keys and prefix == "in/"
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        answer = (
            '<?xml version="1.0"?><ListBucketResult><Name>photos</Name>'
            f"<KeyCount>{last - first}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{items}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def listed_store(monkeypatch):
    """Return a function from a number of keys to the URL of a folder with so many."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def start(keys: int) -> str:
        Pages.keys = keys
        return (
            f"s3://photos/in?endpoint_override=127.0.0.1:{server.server_port}&scheme=http"
            "&region=us-east-1"
        )

    yield start
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_pages_are_asked_for_as_they_are_needed(listed_store):
    listing = Location(listed_store(2500)).list()
    first = next(listing)
    assert (first.relative, first.size) == ("00/000000000.jpg", 4_000_000)
    assert first.mtime_ns == 1_714_557_600 * 10**9
    assert sum(1 for _ in listing) == 2499


MEASURE = """
import resource, sys
from cleanplate.distributed.listing import Listing
from cleanplate.distributed.location import Location

listing = Listing(
    source=Location(sys.argv[1]),
    output=Location(sys.argv[2]),
    run="r",
    pass_number=1,
    group_size=32,
)
groups, early = 0, 0
for groups, _ in enumerate(listing.rows()):
    if groups == 250:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(groups, early, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_all_keys_take_no_more_memory_than_the_first_thousands(listed_store, tmp_path):
    pytest.importorskip("pyarrow")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, listed_store(KEYS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    groups, early_kib, peak_kib = (int(word) for word in done.stdout.split())
    print(f"{groups} groups, {early_kib} KiB after 8,000 keys, {peak_kib} KiB at the peak")
    assert groups == KEYS // 32
    assert peak_kib < early_kib + 3_000
