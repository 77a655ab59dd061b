"""Uploads the first bytes of a file with Debian's client (python3-tuspy), and the rest with another client."""
import sys

from tusclient import client

address, name, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
tus = client.TusClient(address)
upload = tus.uploader(name, chunk_size=65536, metadata={"filename": "by tuspy.bin", "note": "ä"}, upload_checksum=True)
upload.upload(stop_at=first)
again = tus.uploader(name, chunk_size=65536, url=upload.url, upload_checksum=True)
print(again.offset)
again.upload()
print(again.offset)
