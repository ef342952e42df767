"""A libtorrent peer without an interface; runs in an environment that has libtorrent.

    make FILE TRACKER TORRENT
    seed TORRENT default|tuned FOLDER PORT
    get TORRENT default|tuned FOLDER 0
"""

import sys
import time

import libtorrent as lt

# Pieces of 1 MiB, as clients choose for files of some gigabytes.
PIECE_BYTES = 1 << 20

QUIET = {"enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
         "allow_multiple_connections_per_ip": True, "alert_mask": 0}
TUNED = {"aio_threads": 4, "hashing_threads": 2, "send_buffer_watermark": 8 << 20,
         "send_buffer_watermark_factor": 200, "send_buffer_low_watermark": 1 << 20, "max_out_request_queue": 2000,
         "max_allowed_in_request_queue": 4000, "request_queue_time": 10, "max_queued_disk_bytes": 64 << 20,
         "recv_socket_buffer_size": 4 << 20, "send_socket_buffer_size": 4 << 20, "enable_incoming_utp": False,
         "enable_outgoing_utp": False, "out_enc_policy": 2, "in_enc_policy": 2, "mixed_mode_algorithm": 0}


def make(file, tracker, torrent):
    storage = lt.file_storage()
    lt.add_files(storage, file)
    created = lt.create_torrent(storage, PIECE_BYTES, lt.create_torrent.v1_only)
    created.add_tracker(tracker)
    lt.set_piece_hashes(created, file.rpartition("/")[0])
    with open(torrent, "wb") as out:
        out.write(lt.bencode(created.generate()))


def session(tuning, port):
    settings = {**QUIET, "listen_interfaces": f"127.0.0.1:{port}"}
    return lt.session({**settings, **(TUNED if tuning == "tuned" else {})})


def add(running, torrent, folder, flags):
    what = lt.add_torrent_params()
    what.ti, what.save_path = lt.torrent_info(torrent), folder
    what.flags = (what.flags | flags) & ~lt.torrent_flags.paused & ~lt.torrent_flags.auto_managed
    return running.add_torrent(what)


def seed(torrent, tuning, folder, port):
    running = session(tuning, port)
    add(running, torrent, folder, lt.torrent_flags.seed_mode)
    while True:
        time.sleep(3600)


def get(torrent, tuning, folder, port):
    running = session(tuning, port)
    handle = add(running, torrent, folder, 0)
    while not handle.status().is_seeding:
        time.sleep(0.01)


if __name__ == "__main__":
    {"make": make, "seed": seed, "get": get}[sys.argv[1]](*sys.argv[2:])
